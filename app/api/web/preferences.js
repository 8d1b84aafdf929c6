/** How the reader likes to look at maps. Only this is kept in the browser: nothing of a film, nothing of a person. */

const KEY = "discern.viewing";
const DEFAULTS = { alpha: 15, colourMap: "inferno", opacity: 0.7, fades: true, boxes: true };

const VALID = {
  alpha: (v) => Number.isFinite(v) && v > 0 && v <= 700,
  colourMap: (v) => typeof v === "string",
  opacity: (v) => Number.isFinite(v) && v >= 0 && v <= 1,
  fades: (v) => typeof v === "boolean",
  boxes: (v) => typeof v === "boolean",
};

export function loadPreferences() {
  try {
    const stored = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    const kept = Object.entries(stored).filter(([name, value]) => VALID[name]?.(value));
    return { ...DEFAULTS, ...Object.fromEntries(kept) };
  } catch {
    return { ...DEFAULTS };
  }
}

export function savePreferences(preferences) {
  const kept = Object.fromEntries(Object.keys(DEFAULTS).map((name) => [name, preferences[name]]));
  try {
    localStorage.setItem(KEY, JSON.stringify(kept));
  } catch {
    // A browser that keeps nothing (private window) still shows everything.
  }
}
