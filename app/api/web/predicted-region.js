/**
 * The predicted region, on request: a second output of a network, drawn as an outline and never in a map's colours,
 * so that nobody takes it for an explanation of the answer.
 */

import { figure, h, percent } from "./dom.js";
import { gridOnFilm } from "./resampling.js";
import { className, flagWords, inSentence } from "./words.js";

const LIKELY = 0.5;
const OUTLINE = [64, 224, 255];

/** Which of the values lie in the region with a neighbour outside it: the outline, `thickness` pixels wide. */
export function outlineOf(values, width, height, thickness) {
  const inside = (x, y) => x >= 0 && y >= 0 && x < width && y < height && values[y * width + x] >= LIKELY;
  const line = new Uint8Array(values.length);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      if (!inside(x, y)) continue;
      for (let d = 1; d <= thickness && !line[y * width + x]; d += 1) {
        if (!inside(x - d, y) || !inside(x + d, y) || !inside(x, y - d) || !inside(x, y + d)) line[y * width + x] = 1;
      }
    }
  }
  return line;
}

function paint(canvas, film, image, region) {
  canvas.width = film.width;
  canvas.height = film.height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(film, 0, 0);
  const values = gridOnFilm(region.values, region.extent, image, film.width, film.height);
  const line = outlineOf(values, film.width, film.height, Math.max(2, Math.round(Math.max(film.width, film.height) / 320)));
  const pixels = context.getImageData(0, 0, film.width, film.height);
  line.forEach((on, p) => {
    if (on) OUTLINE.forEach((value, channel) => { pixels.data[4 * p + channel] = value; });
  });
  context.putImageData(pixels, 0, 0);
}

function agreementRow({ with: map, alpha, iou, energy_inside: energy, correlation }) {
  const name = map === "cam" ? "its own class activation map" : `the directed divergence (α = ${alpha})`;
  if (energy === null && iou === null) return h("li", {}, `With ${name}: nothing to compare, as it shows nothing.`);
  return h("li", {}, `With ${name}: ${percent(energy)} of its heat lies in the region, overlap with its hottest area ${figure(iou)}, correlation ${figure(correlation)}.`);
}

/** One network's answer: the film with the outline, the figures, and what it is not. */
function answer(found, film, image) {
  const { region } = found;
  const share = percent(region.area_share, 1);
  const canvas = h("canvas", { class: "outlined", role: "img", "aria-label": `Film with the outline of the predicted region: ${share} of the film` });
  paint(canvas, film, image, region);
  return h("article", { class: "predicted", "data-name": found.name },
    h("h4", {}, `${className(region.of)}, as ${found.name} predicts them`),
    canvas,
    h("p", { class: "figures" }, `${share} of the film. This network’s own answer: ${inSentence(found.target)} ${percent(found.probability)}, ${found.decision}.`),
    region.flags.length > 0
      ? h("ul", { class: "notes" }, region.flags.map((flag) => h("li", { class: flagWords(flag).level, "data-flag": flag }, flagWords(flag).text)))
      : null,
    h("ul", { class: "agreement" }, found.agreement.map(agreementRow)),
    h("p", { class: "hint" }, `Low agreement is no error: what people outlined and what speaks for ${inSentence(found.target)} may differ.`));
}

/** The card: hidden where no network predicts regions, a button until the reader asks, then the answer. */
export class PredictedRegionCard {
  /** `ask()`: resolves to the answers of the service for the film in view; `filmInView()`: {film, image}. */
  constructor(element, { ask, filmInView, onFailure }) {
    Object.assign(this, { element, ask, filmInView, onFailure, asked: 0 });
    this.button = h("button", { class: "button small", type: "button", id: "predict-region", onclick: () => this.#predict() }, "Predict the region");
    this.answers = h("div", { id: "predicted-answers", "aria-live": "polite" });
    element.append(this.button, this.answers);
  }

  /** Forget what was predicted: the film in view is another one, or was asked about in another way. */
  reset() {
    this.asked += 1;
    this.answers.replaceChildren();
    this.button.hidden = false;
    this.button.disabled = false;
  }

  async #predict() {
    this.asked += 1;
    const mine = this.asked;
    this.button.disabled = true;
    this.answers.replaceChildren(h("p", { class: "hint" }, "Predicting…"));
    try {
      const found = await this.ask();
      if (mine !== this.asked) return;
      const { film, image } = this.filmInView();
      this.answers.replaceChildren(...found.map((each) => answer(each, film, image)));
      this.button.hidden = true;
    } catch (error) {
      if (mine !== this.asked) return;
      this.answers.replaceChildren();
      this.button.disabled = false;
      this.onFailure(error);
    }
  }
}
