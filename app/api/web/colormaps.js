/** Colour maps as 256-entry tables, from a few control points each. */

const STOPS = {
  viridis: ["#440154", "#482878", "#3e4a89", "#31688e", "#26838f", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725"],
  inferno: ["#000004", "#1b0c41", "#4a0c6b", "#781c6d", "#a52c60", "#cf4446", "#ed6925", "#fb9b06", "#f7d13d", "#fcffa4"],
  cividis: ["#00224e", "#123570", "#3b496c", "#575d6d", "#707173", "#8a8678", "#a59c74", "#c3b369", "#e1cc55", "#fee838"],
  jet: ["#000080", "#0000ff", "#0080ff", "#00ffff", "#80ff80", "#ffff00", "#ff8000", "#ff0000", "#800000"],
  red: ["#2b0000", "#7a0c0c", "#c41a1a", "#ff3b30"],
};

/** What the selector offers, with a word on who can read it. */
export const COLOUR_MAPS = [
  { id: "inferno", title: "Inferno", note: "Safe for colour-blind readers." },
  { id: "viridis", title: "Viridis", note: "Safe for colour-blind readers." },
  { id: "cividis", title: "Cividis", note: "Made for colour-blind readers." },
  { id: "red", title: "Red", note: "One hue, by brightness." },
  { id: "jet", title: "Jet (as in the paper)", note: "Not colour-blind safe; shows edges that the data lack." },
];

function channels(hex) {
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
}

/** A Uint8Array of 256 x RGB for a colour map's name. */
export function colourTable(name) {
  const stops = (STOPS[name] ?? STOPS.inferno).map(channels);
  const table = new Uint8Array(256 * 3);
  for (let i = 0; i < 256; i += 1) {
    const at = (i / 255) * (stops.length - 1);
    const lower = Math.min(Math.floor(at), stops.length - 2);
    for (let c = 0; c < 3; c += 1) {
      const value = stops[lower][c] + (stops[lower + 1][c] - stops[lower][c]) * (at - lower);
      table[i * 3 + c] = Math.round(value);
    }
  }
  return table;
}

/** How opaque a value is drawn, 0..1: the same everywhere, or fading out so that cold parts leave the film clear. */
export function valueOpacity(value, opacity, fades) {
  return fades ? opacity * Math.min(1, value / 0.6) : opacity;
}

/** Colour a map of values 0..1 into RGBA pixels. */
export function colourPixels(values, table, opacity, fades) {
  const pixels = new Uint8ClampedArray(values.length * 4);
  const alphas = new Uint8Array(256);
  for (let i = 0; i < 256; i += 1) alphas[i] = Math.round(255 * valueOpacity(i / 255, opacity, fades));
  for (let p = 0; p < values.length; p += 1) {
    const i = Math.round(Math.min(Math.max(values[p], 0), 1) * 255);
    pixels[p * 4] = table[i * 3];
    pixels[p * 4 + 1] = table[i * 3 + 1];
    pixels[p * 4 + 2] = table[i * 3 + 2];
    pixels[p * 4 + 3] = alphas[i];
  }
  return pixels;
}
