/** The reading list: films in the order they ask to be read, one of them with its pictures and the one before it. */

import { byId, figure, h } from "./dom.js";

const REFRESH_MS = 5000;
let chosen = null;
let drawing = 0;

async function call(path) {
  const response = await fetch(path, { headers: { Accept: "application/json" } });
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw Object.assign(new Error(body.detail || response.statusText), { code: body.code });
  return body;
}

function say(error) {
  byId("trouble").hidden = !error;
  byId("trouble").textContent = error ? error.message : "";
  document.querySelector(".split").hidden = error?.code === "not_configured";
}

const moment = (text) => (text ? new Date(text).toLocaleString([], { dateStyle: "short", timeStyle: "short" }) : "–");
const spoken = (code) => code.replaceAll("_", " ");

function said(film) {
  if (film.outcome === "screened") return `${film.decision} ${figure(film.probability)}`;
  if (film.outcome) return `not analysed: ${spoken(film.outcome)}`;
  return film.state === "failed" ? "failed: no answer" : "not answered yet";
}

function item(film) {
  return h(
    "li",
    { class: film.urgency },
    h(
      "button",
      { type: "button", "data-job": film.job_id, "aria-current": film.job_id === chosen ? "true" : null, onclick: () => show(film) },
      h("span", { class: "rank" }, String(film.rank)),
      h("span", { class: "said" }, said(film)),
      h("span", { class: "uid" }, film.study_uid ?? film.source_uid),
      h("span", { class: "when" }, moment(film.acquired ?? film.received)),
    ),
  );
}

async function refresh() {
  const query = new URLSearchParams({ days: byId("days").value, negative: String(byId("negative").checked) });
  try {
    const list = await call(`v1/reading-list?${query}`);
    const focused = document.activeElement?.dataset?.job;
    byId("films").replaceChildren(...list.films.map(item));
    byId("none").hidden = list.films.length > 0;
    if (focused) document.querySelector(`button[data-job="${CSS.escape(focused)}"]`)?.focus();
    say(null);
  } catch (error) {
    say(error);
  }
}

function picture(overlay, caption) {
  const image = h("img", { src: `data:image/png;base64,${overlay.png}`, width: overlay.width, height: overlay.height, alt: caption });
  return h("figure", {}, image, h("figcaption", {}, caption));
}

function answerParts(answer) {
  const parts = Object.values(answer.experts).map((each) =>
    h("p", {}, h("strong", {}, each.title), `: ${each.decision}, ${figure(each.probability)} (threshold ${figure(each.operating_point.threshold)})`),
  );
  const map = answer.divergence?.maps?.[0];
  const pictures = [];
  if (map?.overlay) pictures.push(picture(map.overlay, `What speaks for ${answer.divergence.interest} rather than for ${answer.divergence.overlap}`));
  for (const each of Object.values(answer.experts)) if (each.overlay) pictures.push(picture(each.overlay, `${each.title}: its own map`));
  if (answer.divergence?.reason) parts.push(h("p", { class: "hint" }, answer.divergence.reason));
  return [...parts, h("div", { class: "pictures" }, ...pictures)];
}

function comparisonParts(found) {
  const days = found.days === null ? "an earlier film" : `the film of ${figure(found.days, found.days < 10 ? 1 : 0)} days before`;
  const parts = [h("h3", {}, `Since ${days} (temporal comparison)`)];
  if (found.flags.includes("other_view")) parts.push(h("p", { class: "flag" }, "The two films may be of different views: compare with care."));
  for (const [name, change] of Object.entries(found.experts)) {
    const by = change.change_of_probability;
    parts.push(h("p", { class: "change" }, `${name}: ${figure(change.earlier_probability)} → ${figure(change.probability)} (${by >= 0 ? "+" : ""}${figure(by)})`));
    if (change.flags.length) parts.push(h("p", { class: "flag" }, change.flags.map(spoken).join(", ")));
    const pictures = [];
    if (change.new_since) pictures.push(picture(change.new_since, `${name}: new since then, on the current film`));
    if (change.resolved_since) pictures.push(picture(change.resolved_since, `${name}: gone since then, on the current film`));
    parts.push(h("div", { class: "pictures" }, ...pictures));
  }
  return parts;
}

async function show(film) {
  const mine = ++drawing;
  chosen = film.job_id;
  for (const button of document.querySelectorAll("#films button")) button.toggleAttribute("aria-current", false);
  document.querySelector(`button[data-job="${CSS.escape(film.job_id)}"]`)?.setAttribute("aria-current", "true");
  byId("film").hidden = false;
  byId("film-title").textContent = said(film);
  const facts = h("p", { class: "hint" }, `Study ${film.study_uid ?? "–"}, film of ${moment(film.acquired)}, received ${moment(film.received)}`);
  byId("film-body").replaceChildren(facts);
  const parts = [facts];
  try {
    if (film.outcome === "screened") {
      parts.push(...answerParts(await call(`v1/jobs/${film.job_id}/answer`)));
      if (mine === drawing) byId("film-body").replaceChildren(...parts);
      try {
        parts.push(...comparisonParts(await call(`v1/jobs/${film.job_id}/comparison`)));
      } catch (error) {
        if (error.code !== "job_conflict") throw error;
        parts.push(h("p", { class: "hint" }, error.message));
      }
    } else if (film.outcome) {
      const job = await call(`v1/jobs/${film.job_id}`);
      parts.push(h("p", {}, `This film has no AI result: ${job.error_detail ?? spoken(film.outcome)}. That says nothing about the patient.`));
    }
  } catch (error) {
    parts.push(h("p", { class: "flag" }, error.message));
  }
  if (mine !== drawing) return; // another film was chosen
  byId("film-body").replaceChildren(...parts);
  byId("film-title").focus();
}

byId("days").addEventListener("change", refresh);
byId("negative").addEventListener("change", refresh);
refresh();
setInterval(() => { if (!document.hidden) refresh(); }, REFRESH_MS);
