/** The probability before the film, as typed; and the probability after it, with how it was computed. */

import { h, percent } from "./dom.js";

/**
 * Read a percentage as a probability in 0..1; null for an empty field. "20", "2.5 %" and "2,5" are numbers.
 * What is certain before the film cannot be changed by it: 0 and 100 are no pre-test probabilities.
 */
export function parsePretest(text) {
  const typed = text.trim().replace(/\s*%$/, "").replace(",", ".");
  if (typed === "") return null;
  const value = /^\d*\.?\d+$/.test(typed) ? Number(typed) : NaN;
  if (!Number.isFinite(value)) throw new Error("Type a percentage, or nothing.");
  if (value <= 0 || value >= 100) throw new Error("It must be above 0 and below 100: no film changes what is certain.");
  return value / 100;
}

const MEASURED_ON = {
  all: "measured on all validation films", adults: "measured on adults", children: "measured on children",
};

const REASONS = {
  indeterminate: "the expert’s answer is indeterminate, so it has no likelihood ratio.",
  not_measured: "sensitivity or specificity of this operating point is not known.",
  ratio_zero: "no diseased patient of the validation films had this answer. That is no proof that none ever has.",
  ratio_unbounded: "no patient without the disease had this answer among the validation films. That is no proof that none ever has.",
};

/** Odds before times likelihood ratio: one line below the expert's probability; null where nothing was asked. */
export function postTestLine(found, decision) {
  if (!found) return null;
  if (found.probability === null) {
    return h("p", { class: "post-test none" }, `No probability after the film: ${REASONS[found.reason] ?? found.reason}`);
  }
  const ratio = Number(found.likelihood_ratio.toPrecision(3));
  return h("p", { class: "post-test" },
    h("strong", {}, percent(found.probability)), " after the film",
    h("span", {}, `${percent(found.pretest_probability, 1)} before it; the odds times the likelihood ratio ${ratio} of a ${decision} answer, ${MEASURED_ON[found.measured_on] ?? found.measured_on}`));
}
