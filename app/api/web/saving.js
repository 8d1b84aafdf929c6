/** Files for the reader: the answer as JSON, each overlay as PNG, the triple as one sheet. */

import { h, pngBlob } from "./dom.js";
import { paintBar, paintBoxes, paintFilm } from "./panel.js";

const INK = "#e8edf1";
const DIM = "#a9b6c0";
const PAPER = "#0b0f13";

export function saveBlob(blob, name) {
  const url = URL.createObjectURL(blob);
  const link = h("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

// Not canvas.toBlob: Chromium puts that off to idle moments, which took up to seven seconds where it had none.
const toBlob = (canvas) => pngBlob(canvas.toDataURL("image/png").split(",")[1]);

/** Lines of a text that fit a width. */
function wrapped(context, text, width) {
  const lines = [];
  let line = "";
  for (const word of text.split(" ")) {
    const longer = line ? `${line} ${word}` : word;
    if (line && context.measureText(longer).width > width) {
      lines.push(line);
      line = word;
    } else line = longer;
  }
  return [...lines, line];
}

function write(context, text, x, y, width, size, colour, weight = 400, align = "left") {
  context.font = `${weight} ${size}px system-ui, sans-serif`;
  context.fillStyle = colour;
  context.textBaseline = "top";
  context.textAlign = align;
  const lines = wrapped(context, text, width);
  lines.forEach((line, i) => context.fillText(line, x, y + i * size * 1.3));
  return y + lines.length * size * 1.3;
}

/** One film with its map, title, legend and notice, on a canvas as wide as the film. */
function plate({ film, image, reading, look, boxes, notice }) {
  const base = document.createElement("canvas");
  paintFilm(base, film, image, reading, look);
  const unit = film.width / 512;
  paintBoxes(base.getContext("2d"), boxes, film.width / image.width, unit);
  const canvas = document.createElement("canvas");
  canvas.width = film.width;
  canvas.height = film.height + Math.round(196 * unit);
  const context = canvas.getContext("2d");
  context.fillStyle = PAPER;
  context.fillRect(0, 0, canvas.width, canvas.height);
  const inner = canvas.width - 24 * unit;
  write(context, reading.title, 12 * unit, 10 * unit, inner, 18 * unit, INK, 600);
  write(context, reading.subtitle, 12 * unit, 35 * unit, inner, 12 * unit, DIM);
  context.drawImage(base, 0, Math.round(72 * unit));
  let y = 72 * unit + film.height + 10 * unit;
  const bar = document.createElement("canvas");
  paintBar(bar, look);
  context.drawImage(bar, 12 * unit, y, inner, 12 * unit);
  y += 18 * unit;
  const { low, high, lowValue, highValue } = reading.legend;
  const half = inner / 2 - 6 * unit;
  write(context, `${lowValue} ${low}`, 12 * unit, y, half, 11 * unit, INK);
  write(context, `${highValue} ${high}`, 12 * unit + inner, y, half, 11 * unit, INK, 400, "right");
  const figures = reading.figures.map(([term, value]) => `${term} ${value}`).join("  ·  ");
  write(context, figures, 12 * unit, y + 34 * unit, inner, 11 * unit, DIM);
  write(context, notice, 12 * unit, y + 56 * unit, inner, 11 * unit, INK, 600);
  return canvas;
}

export function savePlate(parts, name) {
  saveBlob(toBlob(plate(parts)), name);
}

/** The three plates side by side under one line that says what they are. */
export function saveSheet(partsOfThree, headline, name) {
  const plates = partsOfThree.map(plate);
  const unit = plates[0].width / 512;
  const gap = Math.round(12 * unit);
  const canvas = document.createElement("canvas");
  canvas.width = plates.reduce((sum, p) => sum + p.width, 0) + gap * 4;
  canvas.height = plates[0].height + Math.round(48 * unit) + gap;
  const context = canvas.getContext("2d");
  context.fillStyle = PAPER;
  context.fillRect(0, 0, canvas.width, canvas.height);
  write(context, headline, gap * 2, 16 * unit, canvas.width - 4 * gap, 15 * unit, INK, 600);
  let x = gap;
  for (const one of plates) {
    context.drawImage(one, x, Math.round(48 * unit));
    x += one.width + gap;
  }
  saveBlob(toBlob(canvas), name);
}
