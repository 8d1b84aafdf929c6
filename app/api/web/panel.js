/** One film with a heat map over it, its colour bar and figures; the reader may point at its cells. */

import { colourPixels } from "./colormaps.js";
import { h, percent } from "./dom.js";
import { argmaxCell, cellAt, cellBox, gridOnFilm } from "./resampling.js";

const BAR_WIDTH = 256;
const BAR_HEIGHT = 14;

/** The film with the heat map over it, on a canvas of the film's own pixels. */
export function paintFilm(canvas, film, image, reading, look) {
  canvas.width = film.width;
  canvas.height = film.height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(film, 0, 0);
  const values = gridOnFilm(reading.display, reading.extent, image, film.width, film.height);
  if (look.heat && !reading.empty) {
    const pixels = colourPixels(values, look.table, look.opacity, look.fades);
    const heat = new OffscreenCanvas(film.width, film.height);
    heat.getContext("2d").putImageData(new ImageData(pixels, film.width, film.height), 0, 0);
    context.drawImage(heat, 0, 0);
  }
  return values;
}

/** The colour bar as it looks over mid-grey film: low end left, high end right. */
export function paintBar(canvas, look) {
  canvas.width = BAR_WIDTH;
  canvas.height = BAR_HEIGHT;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "#4a4a4a";
  context.fillRect(0, 0, BAR_WIDTH, BAR_HEIGHT);
  const ramp = Float32Array.from({ length: BAR_WIDTH * BAR_HEIGHT }, (_, p) => (p % BAR_WIDTH) / (BAR_WIDTH - 1));
  const bar = new OffscreenCanvas(BAR_WIDTH, BAR_HEIGHT);
  const pixels = colourPixels(ramp, look.table, look.opacity, look.fades);
  bar.getContext("2d").putImageData(new ImageData(pixels, BAR_WIDTH, BAR_HEIGHT), 0, 0);
  context.drawImage(bar, 0, 0);
}

/** Region boxes with their share and lung zone, drawn in the marks' own pixels (`scale` of them to one original pixel). */
export function paintBoxes(context, boxes, scale, unit) {
  context.font = `600 ${12 * unit}px system-ui, sans-serif`;
  context.textBaseline = "bottom";
  for (const { box, share, zone } of boxes) {
    const [x0, y0, x1, y1] = box.map((v) => v * scale);
    for (const [colour, width] of [["rgba(0,0,0,.75)", 3.5], ["#ffffff", 1.5]]) {
      context.strokeStyle = colour;
      context.lineWidth = width * unit;
      context.strokeRect(x0, y0, x1 - x0, y1 - y0);
    }
    if (!Number.isFinite(share)) continue;
    const label = `${Math.round(100 * share)} %${zone ? ` ${zone}` : ""}`;
    const wide = context.measureText(label).width + 8 * unit;
    const left = Math.max(0, Math.min(x0, context.canvas.width - wide));
    const top = y0 > 18 * unit ? y0 - 18 * unit : y0;
    context.fillStyle = "rgba(0,0,0,.8)";
    context.fillRect(left, top, wide, 17 * unit);
    context.fillStyle = "#fff";
    context.fillText(label, left + 4 * unit, top + 15.5 * unit);
  }
}

export class Panel {
  /** `onPoint(cell | null, spoken)`: the reader moved; `onHide()`: H pressed; `onEnlarge(panel)`. */
  constructor({ onPoint, onHide, onEnlarge }) {
    Object.assign(this, { onPoint, onHide, reading: null, cell: null, boxes: [] });
    this.title = h("h3", {});
    this.badge = h("span", { class: "badge" });
    this.subtitle = h("p", { class: "subtitle" });
    this.canvas = h("canvas", { class: "film" });
    this.marks = h("canvas", { class: "marks", "aria-hidden": "true" });
    this.emptyNote = h("p", { class: "empty-note" });
    this.stage = h("div", { class: "stage", tabindex: "0", role: "application", "aria-describedby": "keys" },
      this.canvas, this.marks, this.emptyNote);
    this.enlarge = h("button", { class: "button icon quiet", type: "button", "aria-pressed": "false", onclick: () => onEnlarge(this) });
    this.enlarge.innerHTML = '<svg viewBox="0 0 20 20" aria-hidden="true"><path d="M12 3h5v5M8 17H3v-5M17 3l-6 6M3 17l6-6"/></svg>';
    this.bar = h("canvas", { class: "bar", role: "img" });
    this.low = h("span", { class: "low" });
    this.high = h("span", { class: "high" });
    this.figures = h("dl", { class: "figures" });
    this.cellLine = h("p", { class: "cell-line" });
    this.element = h("figure", { class: "panel" },
      h("header", {}, h("div", {}, h("div", { class: "row" }, this.title, this.badge), this.subtitle), this.enlarge),
      this.stage,
      h("figcaption", {},
        h("div", { class: "legend" }, this.bar, h("div", { class: "ends" }, this.low, this.high)),
        this.figures, this.cellLine));
    this.stage.addEventListener("pointermove", (event) => this.#pointed(event));
    this.stage.addEventListener("pointerdown", (event) => this.#pointed(event));
    this.stage.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && this.onPoint(null, false));
    this.stage.addEventListener("keydown", (event) => this.#pressed(event));
    new ResizeObserver(() => this.drawMarks()).observe(this.stage);
  }

  show(film, image, reading, look, boxes) {
    Object.assign(this, { image, reading, boxes });
    this.element.dataset.kind = reading.kind;
    this.canvas.dataset.key = reading.key;
    this.title.textContent = reading.title;
    this.subtitle.textContent = reading.subtitle;
    this.badge.textContent = reading.badge ? `${percent(reading.badge.probability)} · ${reading.badge.decision}` : "";
    this.badge.className = `badge ${reading.badge?.decision ?? ""}`;
    this.stage.setAttribute("aria-label", `${reading.subtitle}. Film with heat map.`);
    this.enlarge.setAttribute("aria-label", `Enlarge: ${reading.title}`);
    this.values = paintFilm(this.canvas, film, image, reading, look);
    paintBar(this.bar, look);
    const { high, low, highValue, lowValue } = reading.legend;
    this.low.replaceChildren(h("b", {}, lowValue), ` ${low}`);
    this.high.replaceChildren(h("b", {}, highValue), ` ${high}`);
    this.bar.setAttribute("aria-label", `Colour bar. Low end: ${low || "–"}. High end: ${high}.`);
    this.emptyNote.textContent = reading.empty ?? "";
    this.emptyNote.hidden = !reading.empty;
    this.figures.replaceChildren(...reading.figures.map(([term, value]) => h("div", {}, h("dt", {}, term), h("dd", {}, value))));
    this.#sayCell();
    this.drawMarks();
  }

  setBoxes(boxes) {
    this.boxes = boxes;
    this.drawMarks();
  }

  setCell(cell) {
    this.cell = cell;
    this.#sayCell();
    this.drawMarks();
  }

  drawMarks() {
    if (!this.reading || this.stage.clientWidth === 0) return;
    const unit = window.devicePixelRatio || 1;
    this.marks.width = Math.round(this.canvas.clientWidth * unit);
    this.marks.height = Math.round(this.canvas.clientHeight * unit);
    const scale = this.marks.width / this.image.width;
    const context = this.marks.getContext("2d");
    paintBoxes(context, this.boxes, scale, unit);
    if (!this.cell) return;
    const [x0, y0, x1, y1] = cellBox(this.reading.grid, this.reading.extent, ...this.cell).map((v) => v * scale);
    for (const [colour, dash] of [["#000", []], ["#7fd1ff", [5 * unit, 4 * unit]]]) {
      context.setLineDash(dash);
      context.lineWidth = 1.5 * unit;
      context.strokeStyle = colour;
      context.strokeRect(x0, y0, x1 - x0, y1 - y0);
    }
    context.setLineDash([]);
  }

  #sayCell() {
    this.cellLine.textContent = this.cell ? this.reading.sayCell(...this.cell) : "";
  }

  #pointed(event) {
    const frame = this.canvas.getBoundingClientRect();
    const x = ((event.clientX - frame.left) / frame.width) * this.image.width;
    const y = ((event.clientY - frame.top) / frame.height) * this.image.height;
    this.onPoint(cellAt(this.reading.grid, this.reading.extent, x, y), false);
  }

  #pressed(event) {
    const [rows, columns] = [this.reading.grid.length, this.reading.grid[0].length];
    const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (steps[event.key]) {
      const [row, column] = this.cell ?? argmaxCell(this.reading.display);
      const [down, right] = this.cell ? steps[event.key] : [0, 0];
      this.onPoint([Math.min(Math.max(row + down, 0), rows - 1), Math.min(Math.max(column + right, 0), columns - 1)], true);
    } else if (event.key === "Home") this.onPoint(argmaxCell(this.reading.display), true);
    else if (event.key === "Escape") this.onPoint(null, true);
    else if (event.key.toLowerCase() === "h") this.onHide();
    else return;
    event.preventDefault();
  }
}
