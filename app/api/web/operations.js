/** The operators' page: the queue in numbers, what needs somebody's eyes, and one film whole. */

import { byId, figure, h } from "./dom.js";

const REFRESH_MS = 3000;
const PAGE = 50;
const ALERTS = {
  overdue: "Films are open for longer than the deadline. Look at the oldest: is a destination down, or no worker running?",
  parked: "Films are parked: nothing more is tried until somebody looks. Each says below what went wrong.",
  conflict: "A film came twice under one UID with different content. The first one was answered; look at the sender.",
  no_worker: "Films wait, and no worker has been seen for half a minute.",
  spool_nearly_full: "The spool is nearly full. When it is, nothing more is acknowledged.",
  source_failing: "A source cannot be read. Nothing is lost: it is read on from where it stopped.",
  destination_failing: "A destination does not take or confirm results. They wait, and are sent again.",
  audit_lagging: "A receiver of audit events has not read them for five minutes. They wait here, and are sent on in order.",
  certificate_expiring: "A certificate has expired, is about to within two weeks, or cannot be used. Renew it; the listener takes renewed files without a restart.",
};

let shown = 0; // films listed, so that a refresh keeps pages that were opened
let refreshing = 0;

async function call(path, options = {}) {
  const response = await fetch(path, { headers: { Accept: "application/json" }, ...options });
  if (response.status === 204) return null;
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw Object.assign(new Error(body.detail || `${response.status} ${response.statusText}`), { code: body.code });
  return body;
}

function say(error) {
  const trouble = byId("trouble");
  trouble.hidden = !error;
  trouble.textContent = error ? error.message || String(error) : "";
  const keepsNone = error?.code === "not_configured";
  for (const section of document.querySelectorAll("main > section")) section.hidden = keepsNone;
}

const moment = (text) => (text ? new Date(text).toLocaleString([], { dateStyle: "short", timeStyle: "medium" }) : "–");

function age(seconds) {
  if (seconds === null) return "–";
  if (seconds < 120) return `${Math.round(seconds)} s`;
  return seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${figure(seconds / 3600, 1)} h`;
}

function bytes(count) {
  return count < 2 ** 30 ? `${figure(count / 2 ** 20, 1)} MiB` : `${figure(count / 2 ** 30, 1)} GiB`;
}

function number(name, value) {
  return h("div", {}, h("dt", {}, name), h("dd", {}, value));
}

function drawSummary(summary) {
  const failing = { source_failing: summary.sources, destination_failing: summary.destinations, audit_lagging: summary.audit, certificate_expiring: summary.certificates };
  const alerts = summary.alerts.map((alert) =>
    h("li", {}, ALERTS[alert] || alert, ...Object.entries(failing[alert] ?? {}).map(([name, why]) => h("div", {}, h("b", {}, name), ` ${why}`))),
  );
  byId("alerts").replaceChildren(...(alerts.length ? alerts : [h("li", { class: "fine" }, "Nothing.")]));
  const workers = Object.entries(summary.workers).map(([name, seen]) => `${name} (${age(seen)} ago)`);
  byId("numbers").replaceChildren(
    number("queued", summary.jobs.queued),
    number("running", summary.jobs.running),
    number("parked", summary.jobs.failed),
    number("succeeded", summary.jobs.succeeded),
    number("oldest open", age(summary.oldest_open_s)),
    number("duplicates", summary.arrivals.duplicate),
    number("conflicts", summary.arrivals.conflict),
    number("spool", `${bytes(summary.spool_bytes)} of ${bytes(summary.spool_max_bytes)}`),
    number("workers", workers.length ? workers.join(", ") : "none"),
  );
  const rows = Object.entries(summary.deliveries).map(([name, states]) =>
    h("tr", {}, h("td", {}, name), ...["waiting", "sent", "confirmed", "parked"].map((state) => h("td", {}, states[state] ?? 0))),
  );
  byId("destinations").hidden = rows.length === 0;
  byId("destinations").tBodies[0].replaceChildren(...rows);
}

function stateOf(job) {
  return job.state === "failed" ? "parked" : job.state;
}

function answerOf(job) {
  if (job.outcome === null) return "–";
  if (job.outcome !== "screened") return `not analysed: ${job.outcome.replaceAll("_", " ")}`;
  return `${job.decision} ${figure(job.probability)}`;
}

function story(job) {
  if (job.error_code && job.outcome !== job.error_code) {
    const next = job.next_attempt ? ` Next attempt ${moment(job.next_attempt)}.` : "";
    return `${job.error_code.replaceAll("_", " ")}: ${job.error_detail || ""}${next}`;
  }
  return job.conflict ? "the same UID also came with other content" : "";
}

function button(words, act, extra = "") {
  return h("button", { class: `button small ${extra}`, type: "button", onclick: () => doing(act) }, words);
}

async function doing(act) {
  try {
    await act();
    say(null);
  } catch (error) {
    say(error);
  }
  await refresh();
}

function row(job) {
  const acts = [button("Look", () => look(job.id))];
  if (job.state === "failed") acts.push(button("Try again", () => call(`v1/jobs/${job.id}/replay`, { method: "POST" })));
  return h(
    "tr",
    { "data-job": job.id },
    h("td", {}, moment(job.received)),
    h("td", { class: `state ${job.state}` }, stateOf(job), job.conflict ? h("span", { class: "flag" }, " conflict") : null),
    h("td", {}, answerOf(job)),
    h("td", {}, `${job.origin} ${job.sender}`),
    h("td", {}, story(job)),
    h("td", { class: "uid" }, job.source_uid),
    h("td", {}, h("div", { class: "row" }, ...acts)),
  );
}

async function listed(before, limit) {
  const query = new URLSearchParams({ limit: String(limit) });
  if (byId("state").value) query.set("state", byId("state").value);
  if (before) query.set("before", before);
  return call(`v1/jobs?${query}`);
}

async function refresh() {
  const mine = ++refreshing;
  try {
    const [summary, list] = await Promise.all([call("v1/jobs/summary"), listed(null, Math.min(1000, Math.max(PAGE, shown)))]);
    if (mine !== refreshing) return; // a later one is under way
    drawSummary(summary);
    const focused = document.activeElement?.closest("tr")?.dataset.job;
    byId("jobs").tBodies[0].replaceChildren(...list.jobs.map(row));
    if (focused) document.querySelector(`tr[data-job="${CSS.escape(focused)}"] button`)?.focus();
    byId("none").hidden = list.jobs.length > 0;
    byId("more").hidden = list.next === null;
    byId("more").dataset.before = list.next ?? "";
    shown = list.jobs.length;
  } catch (error) {
    say(error);
  }
}

async function more() {
  const list = await listed(byId("more").dataset.before, PAGE);
  byId("jobs").tBodies[0].append(...list.jobs.map(row));
  shown += list.jobs.length;
  byId("more").hidden = list.next === null;
  byId("more").dataset.before = list.next ?? "";
}

function table(heads, rows) {
  return h(
    "div",
    { class: "scroll" },
    h("table", {}, h("thead", {}, h("tr", {}, ...heads.map((head) => h("th", {}, head)))), h("tbody", {}, ...rows)),
  );
}

const cells = (...values) => h("tr", {}, ...values.map((value) => h("td", {}, value ?? "–")));

async function look(id) {
  const job = await call(`v1/jobs/${id}`);
  const open = !["succeeded", "failed", "cancelled"].includes(job.state);
  const acts = [
    job.has_answer ? h("a", { class: "button small", href: `v1/jobs/${id}/answer`, target: "_blank", rel: "noopener" }, "Answer (JSON)") : null,
    job.results.some((each) => each.kind === "fhir") ? h("a", { class: "button small", href: `v1/jobs/${id}/fhir`, target: "_blank", rel: "noopener" }, "FHIR (JSON)") : null,
    open ? button("Take back", () => act(`v1/jobs/${id}/cancel`, "POST")) : button("Answer anew", () => act(`v1/jobs/${id}/screen-again`, "POST")),
    open ? null : button("Purge", () => purge(id), "danger"),
  ];
  byId("detail-title").textContent = `${stateOf(job)}: ${answerOf(job)}`;
  byId("detail-body").replaceChildren(
    h("p", {}, story(job)),
    h("p", { class: "hint" }, `SOP Instance UID ${job.source_uid}, study ${job.study_uid ?? "–"}, models ${job.model_version ?? "–"}, generation ${job.generation}`),
    h("div", { class: "row" }, ...acts.filter(Boolean)),
    h("h3", {}, "Results at their destinations"),
    table(
      ["Destination", "Kind", "State", "Attempts", "Sent", "Confirmed", "Trouble"],
      job.deliveries.map((each) =>
        cells(each.destination, each.kind, each.state, String(each.attempts), moment(each.sent), moment(each.confirmed), each.error_code && `${each.error_code.replaceAll("_", " ")}: ${each.error_detail ?? ""}`),
      ),
    ),
    h("h3", {}, "History"),
    table(["When", "What", "Detail"], job.events.map((each) => cells(moment(each.at), each.kind.replaceAll("_", " "), each.detail))),
  );
  if (!byId("detail").open) byId("detail").showModal();
}

async function act(path, method) {
  await call(path, { method });
  byId("detail").close();
}

async function purge(id) {
  const sure = byId("sure");
  sure.returnValue = "no";
  sure.showModal();
  await new Promise((resolve) => sure.addEventListener("close", resolve, { once: true }));
  if (sure.returnValue !== "yes") return;
  await act(`v1/jobs/${id}`, "DELETE");
}

byId("state").addEventListener("change", () => { shown = 0; refresh(); });
byId("more").addEventListener("click", () => more().catch(say));
byId("close").addEventListener("click", () => byId("detail").close());
byId("replay-all").addEventListener("click", () => doing(() => call("v1/jobs/replay", { method: "POST" })));
refresh();
setInterval(() => { if (!document.hidden && !byId("sure").open) refresh(); }, REFRESH_MS);
