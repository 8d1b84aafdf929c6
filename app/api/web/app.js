/** The page: what is shown now, and what happens on each of the reader's actions. */

import { exclusiveClasses } from "./classes.js";
import { COLOUR_MAPS, colourTable } from "./colormaps.js";
import { parseAlpha } from "./divergence.js";
import { byId, h, percent } from "./dom.js";
import { filmBitmap, watchIntake } from "./intake.js";
import { LabelMap } from "./label-map.js";
import { Panel } from "./panel.js";
import { parsePretest } from "./pretest.js";
import { PredictedRegionCard } from "./predicted-region.js";
import { loadPreferences, savePreferences } from "./preferences.js";
import { tripleReadings } from "./readings.js";
import { expertCard, factRows, failure, findings, noteItems, objections } from "./report.js";
import { gridOnFilm, regionsAboveHalf } from "./resampling.js";
import { saveBlob, savePlate, saveSheet } from "./saving.js";
import { Problem, abilities, describeExample, ensembleWithMaps, fetchExample, predictedRegions, screen } from "./service.js";
import { className } from "./words.js";

const NOTICE = byId("notice").textContent;
/** Pixels of the longer side on which the page looks for regions. */
const REGION_GRID_PX = 256;

const look = loadPreferences();
const shown = { file: null, source: null, film: null, response: null, interest: null, overlap: null, evidence: "row", pretest: null, forced: false, heat: true, readings: [], boxes: [] };
let experts = [];
let running = null;
let redrawing = 0;

const panels = [0, 1, 2].map(() => new Panel({
  onPoint: point,
  onHide: () => { byId("heat").click(); },
  onEnlarge: enlarge,
}));

const labelMap = new LabelMap(byId("label-map"), {
  ask: (signal) => ensembleWithMaps(shown.file, { force: shown.forced }, signal),
  look: currentLook,
  tell,
  onHide: () => { byId("heat").click(); },
});

const predictedCard = new PredictedRegionCard(byId("predicted-card"), {
  ask: () => predictedRegions(shown.file, { interest: shown.interest, overlap: shown.overlap, alpha: look.alpha, evidence: shown.evidence, force: shown.forced }),
  filmInView: () => ({ film: shown.film, image: shown.response.image }),
  onFailure: (error) => fail(error, {}),
});

function tell(text) {
  byId("status").textContent = text;
}

// --- asking the service ---------------------------------------------------------------------------------------------

/** Examine a film. `changes`: {interest, overlap, evidence, pretest} asked for; `keep`: leave the result in view meanwhile. */
async function examine(file, { source = null, force = false, keep = false, changes = {} } = {}) {
  running?.abort();
  const controller = new AbortController();
  running = controller;
  byId("error").hidden = true;
  if (!keep) {
    byId("result").hidden = true;
    shown.response = null;
    clearPretest();
  }
  const wanted = { interest: shown.interest, overlap: shown.overlap, evidence: shown.evidence, pretest: shown.pretest, ...changes };
  byId("busy").hidden = false;
  byId("result").setAttribute("aria-busy", "true");
  tell("Examining the film…");
  const again = (more) => examine(file, { source, force, keep, changes, ...more });
  try {
    if (file.size === 0) throw new Problem({ code: "empty_file", detail: "the file has 0 bytes" });
    const response = await screen(file, { ...wanted, alpha: look.alpha, force }, controller.signal);
    const film = await filmBitmap(response, file).catch((error) => {
      throw new Problem({ code: "unexpected_answer", detail: `no film to draw on: ${error.message}` });
    });
    if (running !== controller) return;
    const { interest, overlap } = response.divergence;
    Object.assign(shown, { file, source, film, response, interest, overlap, evidence: wanted.evidence, pretest: wanted.pretest, forced: force });
    if (!keep) point(null, false);
    showResult();
    tell(`Done. ${summary()}`);
    if (!keep) byId("result-title").focus({ preventScroll: true });
  } catch (error) {
    if (running !== controller) return;
    if (error.code === "cancelled") tell("Cancelled.");
    else fail(error, { onForce: () => again({ force: true }), onRetry: () => again({}) });
    showChoices();
  } finally {
    if (running === controller) {
      running = null;
      byId("busy").hidden = true;
      byId("result").removeAttribute("aria-busy");
    }
  }
}

function fail(error, actions) {
  if (!(error instanceof Problem)) console.error(error);
  const problem = error instanceof Problem ? error : new Problem({ code: error.code ?? "unexpected_answer", detail: String(error) });
  tell("");
  byId("error").replaceChildren(...failure(problem, actions));
  byId("error").hidden = false;
  byId("error").focus({ preventScroll: true });
  byId("error").scrollIntoView({ block: "nearest" });
}

function summary() {
  return [shown.interest, shown.overlap].map((name) => {
    const { probability, decision } = shown.response.experts[name];
    return `${className(name)} ${percent(probability)}, ${decision}`;
  }).join("; ") + ".";
}

// --- drawing ----------------------------------------------------------------------------------------------------------

function currentLook() {
  return { table: colourTable(look.colourMap), opacity: look.opacity, fades: look.fades, heat: shown.heat };
}

/** The service's regions where it computed this very map; otherwise the page's own. */
function regionsOf(reading) {
  if (!look.boxes || reading.empty) return [];
  if (reading.served?.regions) return reading.served.regions;
  const { width, height } = shown.response.image;
  const scale = Math.min(1, REGION_GRID_PX / Math.max(width, height));
  const [w, hgt] = [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
  return regionsAboveHalf(gridOnFilm(reading.display, reading.extent, shown.response.image, w, hgt), w, hgt, shown.response.image);
}

function draw() {
  if (!shown.response) return;
  shown.readings = tripleReadings(shown.response, shown.interest, shown.overlap, look.alpha);
  shown.boxes = [[], [], regionsOf(shown.readings[2])];
  panels.forEach((panel, i) => panel.show(shown.film, shown.response.image, shown.readings[i], currentLook(), shown.boxes[i]));
  labelMap.draw();
  drawNotes();
}

/** Draw once per frame, however fast a slider moves. */
function drawSoon() {
  cancelAnimationFrame(redrawing);
  redrawing = requestAnimationFrame(draw);
}

function drawNotes() {
  const { response, readings } = shown;
  const served = readings[2].served;
  const regions = shown.boxes[2].map((region) => region.zone).filter(Boolean);
  byId("notes").replaceChildren(...noteItems([
    ["Film", response.image.flags],
    ["Answer", response.flags?.filter((flag) => !response.image.flags?.includes(flag))],
    [`${className(shown.interest)} map`, readings[0].flags],
    [`${className(shown.overlap)} map`, readings[1].flags],
    ["Divergence", readings[2].flags],
    ["Findings", response.ensemble?.flags?.filter((flag) => !response.flags?.includes(flag))],
  ]));
  if (regions.length > 0 && served) byId("notes").append(h("li", { class: "note" }, h("span", { class: "scope" }, "Regions"), [...new Set(regions)].join(", ")));
}

function forcedWords(response) {
  const found = objections(response);
  return found.length > 0 ? `${found.join(" ")} The numbers may mean nothing.` : "The input check was overruled, but had nothing against this image.";
}

function showResult() {
  const { response } = shown;
  const { intended_use: intended, reason } = response.divergence;
  byId("banners").replaceChildren(...[
    shown.forced ? h("p", { class: "banner warning" }, h("strong", {}, "Answered on request. "), forcedWords(response)) : null,
    intended === false ? h("p", { class: "banner caution", id: "intended-use" }, h("strong", {}, "Outside the intended use. "),
      reason ? `${reason.charAt(0).toUpperCase()}${reason.slice(1).replace(/\.?$/, ".")}` : "The divergence is meant for films that both experts find positive.") : null,
  ].filter(Boolean));
  byId("experts").replaceChildren(...[shown.interest, shown.overlap].map((name) => expertCard(name, response.experts[name])));
  predictedCard.reset();
  byId("findings").replaceChildren(...findings(response.ensemble, (name) => labelMap.toggle(name)));
  labelMap.forget(shown.film, response.image);
  byId("classes").replaceChildren(...exclusiveClasses(response.multiclass));
  byId("classes-card").hidden = !response.multiclass?.length;
  byId("facts").replaceChildren(...factRows(response, shown.source));
  byId("intake").classList.add("compact");
  byId("credit").textContent = shown.source ?? "";
  byId("credit").hidden = !shown.source;
  showChoices();
  byId("result").hidden = false;
  draw();
}

function showChoices() {
  if (!shown.response) return;
  const names = [...new Set([shown.interest, shown.overlap, ...Object.keys(shown.response.experts), ...experts])];
  for (const [id, chosen] of [["interest", shown.interest], ["overlap", shown.overlap]]) {
    byId(id).replaceChildren(...names.map((name) => h("option", { value: name, selected: name === chosen }, className(name))));
    byId(id).value = chosen;
  }
  byId("pretest-class").textContent = className(shown.interest);
  for (const radio of document.getElementsByName("evidence")) radio.checked = radio.value === shown.evidence;
}

// --- the reader's actions ---------------------------------------------------------------------------------------------

function point(cell, spoken) {
  panels.forEach((panel) => panel.setCell(cell));
  if (!spoken || !cell) return;
  const [row, column] = cell;
  const values = shown.readings.map((reading) => `${reading.title}: ${reading.sayCell(row, column)}`).join(". ");
  byId("spoken").textContent = `Row ${row + 1}, column ${column + 1}. ${values}.`;
}

function enlarge(panel) {
  const large = !panel.element.classList.contains("large");
  panels.forEach((one) => {
    one.element.classList.toggle("large", one === panel && large);
    one.enlarge.setAttribute("aria-pressed", String(one === panel && large));
  });
  byId("triple").classList.toggle("one-large", large);
}

function choosePair(interest, overlap) {
  if (interest === overlap) [interest, overlap] = [shown.overlap, shown.interest];
  const known = shown.response.experts;
  if (interest !== shown.interest) clearPretest();
  if (known[interest] && known[overlap]) {
    Object.assign(shown, { interest, overlap });
    byId("experts").replaceChildren(...[interest, overlap].map((name) => expertCard(name, known[name])));
    showChoices();
    draw();
    tell(`Now shown: what speaks more for ${className(interest)} than for ${className(overlap)}.`);
  } else examine(shown.file, { source: shown.source, force: shown.forced, keep: true, changes: { interest, overlap } });
}

/** A pre-test probability is of one patient and one class: it goes with either. */
function clearPretest() {
  shown.pretest = null;
  byId("pretest").value = "";
  byId("pretest-error").textContent = "";
  byId("pretest").removeAttribute("aria-invalid");
}

function askWithPretest() {
  let pretest;
  try {
    pretest = parsePretest(byId("pretest").value);
  } catch (error) {
    byId("pretest").setAttribute("aria-invalid", "true");
    byId("pretest-error").textContent = error.message;
    return;
  }
  byId("pretest").removeAttribute("aria-invalid");
  byId("pretest-error").textContent = "";
  if (pretest !== shown.pretest) examine(shown.file, { source: shown.source, force: shown.forced, keep: true, changes: { pretest } });
}

function setAlpha(alpha) {
  look.alpha = alpha;
  byId("alpha-error").textContent = "";
  byId("alpha-number").removeAttribute("aria-invalid");
  savePreferences(look);
  drawSoon();
}

function setLook(changes) {
  Object.assign(look, changes);
  savePreferences(look);
  byId("opacity-value").textContent = `${Math.round(100 * look.opacity)} %`;
  byId("colour-note").textContent = COLOUR_MAPS.find((map) => map.id === look.colourMap)?.note ?? "";
  drawSoon();
}

function wireControls() {
  const on = (id, event, action) => byId(id).addEventListener(event, action);
  on("controls", "submit", (event) => event.preventDefault());
  on("swap", "click", () => choosePair(shown.overlap, shown.interest));
  on("interest", "change", () => choosePair(byId("interest").value, shown.overlap));
  on("overlap", "change", () => choosePair(shown.interest, byId("overlap").value));
  on("alpha-slider", "input", () => {
    byId("alpha-number").value = byId("alpha-slider").value;
    setAlpha(Number(byId("alpha-slider").value));
  });
  on("alpha-number", "input", () => {
    try {
      const alpha = parseAlpha(byId("alpha-number").value);
      byId("alpha-slider").value = String(alpha);
      setAlpha(alpha);
    } catch (error) {
      byId("alpha-number").setAttribute("aria-invalid", "true");
      byId("alpha-error").textContent = `${error.message} Still shown: α = ${look.alpha}.`;
    }
  });
  on("colour-map", "change", () => setLook({ colourMap: byId("colour-map").value }));
  on("opacity", "input", () => setLook({ opacity: Number(byId("opacity").value) / 100 }));
  on("fades", "change", () => setLook({ fades: byId("fades").checked }));
  on("boxes", "change", () => setLook({ boxes: byId("boxes").checked }));
  on("heat", "change", () => {
    shown.heat = byId("heat").checked;
    drawSoon();
  });
  for (const radio of document.getElementsByName("evidence")) {
    radio.addEventListener("change", () => examine(shown.file, { source: shown.source, force: shown.forced, keep: true, changes: { evidence: radio.value } }));
  }
  on("pretest", "change", askWithPretest);
  on("cancel", "click", () => running?.abort());
  on("example", "click", openExample);
}

async function openExample() {
  tell("Fetching the example film…");
  try {
    const { file, source } = await fetchExample();
    await examine(file, { source: source ?? byId("example").dataset.source ?? "Example film" });
  } catch (error) {
    fail(error, { onRetry: openExample });
  }
}

function wireSaving() {
  const stem = () => `discern-${(shown.response.image.sha256 ?? "film").slice(0, 8)}`;
  const models = () => (shown.response.models ?? []).map((model) => `${model.name} ${model.version}`).join(", ");
  const parts = (i) => ({ film: shown.film, image: shown.response.image, reading: shown.readings[i], look: { ...currentLook(), heat: true }, boxes: shown.boxes[i], notice: `${NOTICE} ${models()}` });
  const button = (id, text, action) => h("button", { class: "button small", type: "button", id, onclick: action }, text);
  byId("saves").replaceChildren(
    button("save-json", "Answer (JSON)", () => saveBlob(new Blob([JSON.stringify(shown.response, null, 2)], { type: "application/json" }), `${stem()}.json`)),
    button("save-sheet", "All three (PNG)", () => saveSheet([0, 1, 2].map(parts), `Discern · film ${(shown.response.image.sha256 ?? "").slice(0, 12)} · ${shown.response.created ?? ""} · ${summary()}`, `${stem()}-triple.png`)),
    button("save-cam-1", "Map of expert 1", () => savePlate(parts(0), `${stem()}-${shown.interest}.png`)),
    button("save-cam-2", "Map of expert 2", () => savePlate(parts(1), `${stem()}-${shown.overlap}.png`)),
    button("save-divergence", "Divergence", () => savePlate(parts(2), `${stem()}-${shown.interest}-not-${shown.overlap}-alpha${look.alpha}.png`)),
  );
}

async function start() {
  byId("triple").append(...panels.map((panel) => panel.element));
  byId("colour-map").replaceChildren(...COLOUR_MAPS.map(({ id, title }) => h("option", { value: id }, title)));
  if (!COLOUR_MAPS.some((map) => map.id === look.colourMap)) look.colourMap = COLOUR_MAPS[0].id;
  byId("colour-map").value = look.colourMap;
  byId("alpha-number").value = String(look.alpha);
  byId("alpha-slider").value = String(look.alpha);
  byId("opacity").value = String(Math.round(100 * look.opacity));
  byId("fades").checked = look.fades;
  byId("more").open = window.matchMedia("(min-width: 761px)").matches;
  byId("boxes").checked = look.boxes;
  setLook({});
  wireControls();
  wireSaving();
  watchIntake((file) => examine(file), () => tell("That was no file. Drop a PNG, JPEG or DICOM film."));
  const [example, able] = await Promise.all([describeExample(), abilities()]);
  experts = able.experts;
  byId("predicted-card").hidden = able.regions.length === 0;
  showChoices();
  if (example) {
    byId("example").hidden = false;
    byId("example").title = example.title ?? "";
    byId("example").dataset.source = [example.source, example.licence].filter(Boolean).join(" · ");
  }
  document.documentElement.dataset.ready = "true";
}

start();
