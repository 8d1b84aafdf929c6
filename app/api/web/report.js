/** Numbers and words below the films: experts, findings, notes, facts, failures. */

import { figure, h, percent } from "./dom.js";
import { postTestLine } from "./pretest.js";
import { className, doubtWords, flagWords, mergedFlags, problemWords } from "./words.js";

const DECISIONS = { positive: "positive", negative: "negative", indeterminate: "indeterminate", refused: "refused" };

function decisionChip(decision) {
  return decision ? h("span", { class: `chip ${DECISIONS[decision] ?? "other"}` }, decision) : null;
}

/** A probability as a bar, with a tick at the threshold of the operating point. */
function probabilityBar(probability, threshold) {
  const fill = h("span", { class: "fill" });
  fill.style.width = `${100 * Math.min(Math.max(probability, 0), 1)}%`;
  const bar = h("span", { class: "probability", "aria-hidden": "true" }, fill);
  if (Number.isFinite(threshold)) {
    const tick = h("span", { class: "tick" });
    tick.style.left = `${100 * threshold}%`;
    bar.append(tick);
  }
  return bar;
}

export function expertCard(name, expert) {
  const point = expert.operating_point ?? {};
  const [from, to] = point.indeterminate ?? [point.threshold, point.threshold];
  const digits = [0, 1, 2].find((count) => from === to || percent(from, count) !== percent(to, count)) ?? 2;
  return h("article", { class: "expert" },
    h("header", {}, h("h4", {}, className(name)), decisionChip(expert.decision)),
    h("p", { class: "probability-line" }, h("strong", {}, percent(expert.probability)), h("span", {}, " probability")),
    probabilityBar(expert.probability, point.threshold),
    expert.flags?.length ? h("p", { class: "doubt" }, `Decides nothing, as it was not measured on such films: ${doubtWords(expert.flags)}.`) : null,
    postTestLine(expert.post_test, expert.decision),
    h("p", { class: "operating" },
      `Operating point: positive from ${percent(to, digits)}${from < to ? `, indeterminate from ${percent(from, digits)}` : ""}`,
      h("span", {}, `sensitivity ${percent(point.sensitivity)} · specificity ${percent(point.specificity)}`)),
  );
}

function labelRow(label, depth, onMap) {
  const unevaluated = label.evaluated === false;
  const members = Object.entries(label.members ?? {});
  const row = h("div", { class: unevaluated ? "label unevaluated" : "label", "data-label": label.name },
    h("span", { class: "name" }, h("button", { type: "button", "data-map": label.name, "aria-pressed": "false", title: "Show what its logit is made of", onclick: () => onMap(label.name) }, className(label.name))),
    probabilityBar(label.probability, unevaluated ? NaN : label.threshold),
    h("span", { class: "value" }, percent(label.probability),
      members.length > 1 && Number.isFinite(label.spread) ? h("small", {}, `spread ${figure(100 * label.spread, 0)}`) : null),
    unevaluated ? h("span", { class: "not-evaluated" }, "not evaluated") : decisionChip(label.decision));
  row.style.setProperty("--depth", String(depth));
  return row;
}

/** The labels as nested lists, by their `parent`; a label whose parent is not in the list stands at the top. */
export function labelTree(labels, onMap) {
  const names = new Set(labels.map((label) => label.name));
  const branch = (parent, depth, path) => {
    const children = labels.filter((label) => (parent === null
      ? label.parent === null || label.parent === undefined || !names.has(label.parent)
      : label.parent === parent));
    if (children.length === 0) return null;
    return h("ul", depth === 0 ? { class: "tree" } : {}, children.map((label) => h("li", {},
      labelRow(label, depth, onMap), path.includes(label.name) ? null : branch(label.name, depth + 1, [...path, label.name]))));
  };
  return branch(null, 0, []);
}

export function findings(ensemble, onMap) {
  if (!ensemble?.labels?.length) return [h("p", { class: "hint" }, "No multi-label network is loaded.")];
  const members = [...new Set(ensemble.labels.flatMap((label) => Object.keys(label.members ?? {})))];
  const greyed = ensemble.labels.some((label) => label.evaluated === false);
  return [
    labelTree(ensemble.labels, onMap),
    h("p", { class: "hint" },
      members.length > 1
        ? `Mean of ${members.length} networks (${members.join(", ")}); spread in percentage points between them.`
        : `One network${members.length ? ` (${members[0]})` : ""}; no spread between networks yet.`,
      " Choose a finding to see which places of the film its logit comes from.",
      greyed ? " Grey: shown, not evaluated (too few films to test them)." : ""),
  ];
}

/** Each flag once, in words, with what it is about; unknown flags as they are. */
export function noteItems(scopes) {
  const gravity = ["warning", "caution", "note"];
  const found = scopes.flatMap(([scope, flags]) => mergedFlags(flags ?? []).map((flag) => ({ scope, flag, ...flagWords(flag) })));
  found.sort((a, b) => gravity.indexOf(a.level) - gravity.indexOf(b.level));
  const items = found.map(({ scope, flag, level, text, known }) => h("li", { class: level, "data-flag": flag }, h("span", { class: "scope" }, scope),
      known ? text : h("code", {}, text)));
  return items.length > 0 ? items : [h("li", { class: "none" }, "Nothing unusual was noticed.")];
}

function deviceWords(device) {
  if (!device) return null;
  if (typeof device === "string") return device;
  return device.used ?? device.name ?? device.provider ?? device.device ?? JSON.stringify(device);
}

export function factRows(response, example) {
  const image = response.image;
  const spacing = Array.isArray(image.pixel_spacing_mm) ? image.pixel_spacing_mm : null;
  const rows = [
    ["Film", `${String(image.format).toUpperCase()}, ${image.width} × ${image.height} px`],
    ["View", image.view_position ?? "not stated in the file"],
    ["Pixel spacing", spacing ? `${spacing.map((v) => figure(v, 3)).join(" × ")} mm` : (image.pixel_spacing_mm ?? null)],
    ["Pixels", image.photometric_interpretation],
    ["SHA-256", image.sha256 ? h("code", { title: image.sha256 }, `${image.sha256.slice(0, 12)}…`) : null],
    ["Source", example],
    ["Models", h("ul", {}, (response.models ?? []).map((model) => h("li", {},
      `${model.name} ${model.version}`, model.precision ? h("small", {}, model.precision) : null)))],
    ["Device", deviceWords(response.device)],
    ["Examined", response.created ? response.created.replace("T", " ").replace(/\.\d+/, "").replace(/Z$/, " UTC") : null],
    ["Answer", response.id ? h("code", {}, response.id) : null],
  ];
  return rows.filter(([, value]) => value !== null && value !== undefined)
    .map(([term, value]) => h("div", {}, h("dt", {}, term), h("dd", {}, value)));
}

/** A failure for a reader of films: what happened, what to do, and the technical detail folded away. */
export function failure(problem, { onForce, onRetry }) {
  const { title, advice, mayForce, mayRetry } = problemWords(problem);
  const technical = [
    problem.status ? `HTTP ${problem.status}` : null, problem.code, problem.detail,
    problem.body ? JSON.stringify(problem.body, null, 2) : null,
  ].filter(Boolean).join("\n");
  const wait = problem.retryAfterS ? ` The service asks to wait ${problem.retryAfterS} ${problem.retryAfterS === 1 ? "second" : "seconds"}.` : "";
  return [
    h("h2", {}, title),
    h("p", {}, advice + wait),
    mayForce && problem.detail ? h("p", { class: "finding" }, `What the check found: ${problem.detail}.`) : null,
    h("div", { class: "row" },
      mayRetry && onRetry ? h("button", { class: "button primary", type: "button", id: "retry", onclick: onRetry }, "Try again") : null,
      mayForce && onForce ? h("button", { class: "button", type: "button", id: "force", onclick: onForce }, "Answer anyway") : null,
      mayForce && onForce ? h("span", { class: "hint" }, "The networks were not tested on such images; the answer will be marked.") : null),
    h("details", {}, h("summary", {}, "Technical detail"), h("pre", {}, technical)),
  ].filter(Boolean);
}

/** What the input check had against a film that was answered all the same, in words. */
export function objections(response) {
  const flags = [...(response.image.flags ?? []), ...(response.flags ?? [])];
  return [...new Set(flags.filter((flag) => /^(gate_|overridden:)/.test(flag)))].map((flag) => flagWords(flag).text);
}
