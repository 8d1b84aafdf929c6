/**
 * The amplified directed divergence of two class activation maps (ADDK), as pure functions.
 *
 * The same mathematics as app/domain/directed_divergence.py (the paper's Eq. 2, in the log domain):
 *   ln K = alpha * (x / max x - x' / max x'), cell by cell, on the native grid.
 * Both are held to tests/golden/addk.json. Maps are arrays of rows; nothing here changes its input.
 */

/** The greatest alpha that a request may ask for (K still fits a float64). */
export const ALPHA_MAX = 700;
/** Below this range of ln K, stretching the map to full colour would show noise. */
export const LOW_CONTRAST_RANGE = 0.1;

const LN_FLOAT_MAX = { float64: 709.782712893384, float32: 88.72283905206835, float16: 11.089866488461016 };

/** A failure with the code that the HTTP service uses for it. */
export class DivergenceError extends Error {
  constructor(code, message) {
    super(message);
    this.name = "DivergenceError";
    this.code = code;
  }
}

/** What a person typed, as a number that a request accepts; throws INVALID_ALPHA with a sentence to show. */
export function parseAlpha(text) {
  const trimmed = String(text).trim().replace(",", ".");
  const alpha = trimmed === "" ? NaN : Number(trimmed);
  if (!Number.isFinite(alpha)) throw new DivergenceError("INVALID_ALPHA", "Type a number, for example 15.");
  if (alpha <= 0) {
    throw new DivergenceError(
      "INVALID_ALPHA",
      "Amplification must be greater than 0. To see the opposite direction, swap the two classes.",
    );
  }
  if (alpha > ALPHA_MAX) throw new DivergenceError("INVALID_ALPHA", `Amplification may be at most ${ALPHA_MAX}.`);
  return alpha;
}

function checkPair(x, xPrime) {
  for (const map of [x, xPrime]) {
    if (map.length === 0 || map[0].length === 0) throw new DivergenceError("EMPTY_MAP", "A map has no cells.");
  }
  const sameShape = x.length === xPrime.length && x.every((row, i) => row.length === xPrime[i].length);
  if (!sameShape) throw new DivergenceError("SHAPE_MISMATCH", "The two maps have different grids.");
  for (const map of [x, xPrime]) {
    if (!map.every((row) => row.every(Number.isFinite))) {
      throw new DivergenceError("NON_FINITE_MAP", "A map has a cell that is not a finite number.");
    }
  }
}

/** The greatest cell of a map. */
export function maximum(map) {
  return map.reduce((best, row) => row.reduce((b, v) => (v > b ? v : b), best), -Infinity);
}

/** The smallest cell of a map. */
export function minimum(map) {
  return map.reduce((best, row) => row.reduce((b, v) => (v < b ? v : b), best), Infinity);
}

/** Apply a function to every cell. */
export function mapCells(map, transform) {
  return map.map((row, i) => row.map((value, j) => transform(value, i, j)));
}

/** x / max x; a map whose maximum is not positive has no evidence to show and becomes 0 everywhere. */
export function normalised(map) {
  const top = maximum(map);
  return top > 0 ? mapCells(map, (v) => v / top) : mapCells(map, () => 0);
}

/** What a class activation map shows on the film: its positive part over its maximum, 0..1. */
export function camDisplay(map) {
  return mapCells(normalised(map), (v) => Math.max(v, 0));
}

/** H = (K - min K) / (max K - min K) from ln K shifted by its maximum, so that nothing overflows. */
export function displayMap(logK) {
  const top = maximum(logK);
  const shifted = mapCells(logK, (v) => Math.exp(v - top));
  const low = minimum(shifted);
  const range = 1 - low;
  return range > 0 ? mapCells(shifted, (v) => (v - low) / range) : mapCells(shifted, () => 0);
}

/** Entropy in nats of p = K / sum K, and the share of its greatest cell. */
export function concentration(logK) {
  const top = maximum(logK);
  const weights = logK.flat().map((v) => Math.exp(v - top));
  const total = weights.reduce((a, b) => a + b, 0);
  const entropyNats = weights.reduce((sum, w) => (w > 0 ? sum - (w / total) * Math.log(w / total) : sum), 0);
  return { entropyNats: Math.max(entropyNats, 0), topCellShare: 1 / total };
}

/**
 * The directed divergence with everything the page shows of it.
 *
 * `alpha` is any finite number >= 0 here; `parseAlpha` holds what a person may ask for.
 * `k` is null where it overflows a float64; `logK` is always finite.
 */
export function directedDivergence(x, xPrime, alpha, clampNegative = false) {
  if (!Number.isFinite(alpha) || alpha < 0) {
    throw new DivergenceError("INVALID_ALPHA", "Amplification must be a number greater than 0.");
  }
  checkPair(x, xPrime);
  const clamp = (map) => (clampNegative ? mapCells(map, (v) => Math.max(v, 0)) : map);
  const a = normalised(clamp(x));
  const b = normalised(clamp(xPrime));
  const logK = mapCells(a, (v, i, j) => alpha * (v - b[i][j]));
  const logKMin = minimum(logK);
  const logKMax = maximum(logK);

  const flags = [];
  if (!(maximum(x) > 0)) flags.push("x:no_positive_evidence");
  if (!(maximum(xPrime) > 0)) flags.push("x':no_positive_evidence");
  if (logKMax === logKMin) flags.push("flat_heat_map");
  else if (logKMax - logKMin < LOW_CONTRAST_RANGE) flags.push("low_contrast_map");
  const overflows = logKMax > LN_FLOAT_MAX.float64;
  if (overflows) flags.push("overflow_float64");
  if (logKMax > LN_FLOAT_MAX.float32) flags.push("would_overflow_float32");
  if (logKMax > LN_FLOAT_MAX.float16) flags.push("would_overflow_float16");

  return {
    alpha,
    logK,
    k: overflows ? null : mapCells(logK, Math.exp),
    logKMin,
    logKMax,
    display: displayMap(logK),
    ...concentration(logK),
    flags,
  };
}
