/** What the three panels show, computed from a response, a direction and alpha. Pure: no drawing, no page. */

import { LOW_CONTRAST_RANGE, camDisplay, directedDivergence, maximum, minimum } from "./divergence.js";
import { figure, ratio } from "./dom.js";
import { className, inSentence } from "./words.js";

/** The smallest difference between the service's and the page's ln K that is more than rounding, per unit of alpha. */
const AGREEMENT = 1e-3;

function camReading(name, expert, ordinal) {
  const { values, extent, flags = [] } = expert.map;
  const top = maximum(values);
  const weak = top > 0 && flags.includes("negligible_evidence");
  const title = className(name);
  return {
    kind: "cam",
    key: `cam-${ordinal}`,
    title,
    badge: { probability: expert.probability, decision: expert.decision },
    subtitle: `Class activation map of expert ${ordinal}: where it finds evidence for ${inSentence(name)}`,
    grid: values,
    display: camDisplay(values),
    extent,
    flags: top > 0 ? flags : [...new Set([...flags, "no_positive_evidence"])],
    legend: top > 0
      ? { high: `strongest evidence for ${inSentence(name)}`, low: "none, or against", highValue: figure(top), lowValue: "≤ 0" }
      : { high: `no evidence for ${inSentence(name)}`, low: "", highValue: "", lowValue: "" },
    empty: emptyMap(top, weak, inSentence(name)),
    figures: [
      ["strongest cell", figure(top)],
      ["weakest cell", figure(minimum(values))],
      ...outside(expert.map.outside_lungs),
    ],
    sayCell: (row, column) => {
      const value = values[row][column];
      return top > 0 ? `${figure(value)} (${figure((100 * value) / top, 0)} % of the strongest)` : figure(value);
    },
  };
}

function emptyMap(top, weak, name) {
  if (!(top > 0)) return `No part of the film speaks for ${name}.`;
  return weak ? `Hardly anything on the film speaks for ${name}.` : null;
}

function outside(share) {
  return Number.isFinite(share) ? [["outside the lungs", `${figure(100 * share, 0)} %`]] : [];
}

/** A finding of the ensemble: which places its members' mean logit comes from. The map's mean plus the bias is that logit. */
export function labelReading(label) {
  const { values, extent, flags = [], mean_logit: logit, bias } = label.map;
  const top = maximum(values);
  const weak = top > 0 && flags.includes("negligible_evidence");
  const name = inSentence(label.name);
  const networks = Object.keys(label.members ?? {}).length;
  return {
    kind: "label",
    key: `label-${label.name}`,
    title: className(label.name),
    badge: { probability: label.probability, decision: label.evaluated === false ? "not evaluated" : label.decision },
    subtitle: `What the ensemble’s mean logit of ${name} is made of: ${networks > 1 ? `the mean of ${networks} networks’ maps` : "the network’s map"}, which with the bias adds up to it`,
    grid: values,
    display: camDisplay(values),
    extent,
    flags,
    legend: top > 0
      ? { high: `strongest evidence for ${name}`, low: "none, or against", highValue: figure(top), lowValue: "≤ 0" }
      : { high: `no evidence for ${name}`, low: "", highValue: "", lowValue: "" },
    empty: emptyMap(top, weak, name),
    figures: [
      ["mean logit", `${figure(logit)} = map ${figure(logit - bias)} + bias ${figure(bias)}`],
      ...outside(label.map.outside_lungs),
    ],
    sayCell: (row, column) => `${figure(values[row][column])} logits here`,
  };
}

/** Words at the two ends of the divergence's colour bar: what the colours mean depends on where ln K = 0 lies. */
export function divergenceLegend(interest, overlap, logKMin, logKMax) {
  const [a, b] = [inSentence(interest), inSentence(overlap)];
  const ends = { highValue: `ln K ${figure(logKMax)}`, lowValue: `ln K ${figure(logKMin)}` };
  if (logKMax === logKMin) return { high: "no difference anywhere", low: "", ...ends };
  if (logKMax <= 0) return { high: "no or least difference", low: `speaks more for ${b} than for ${a}`, ...ends };
  if (logKMin > 0) return { high: `speaks more for ${a} than for ${b}`, low: "speaks least more", ...ends };
  return { high: `speaks more for ${a} than for ${b}`, low: "no difference or less", ...ends };
}

function sayDivergence(a, b, logK) {
  const [x, y] = [inSentence(a), inSentence(b)];
  if (Math.abs(logK) < 0.005) return "ln K 0.00: no difference";
  return `ln K ${figure(logK)}, K ${ratio(logK)}: more for ${logK > 0 ? x : y}`;
}

/** The service's own map for this direction and alpha, if the response holds it. */
export function servedMap(response, interest, overlap, alpha) {
  const divergence = response.divergence;
  if (!divergence || divergence.interest !== interest || divergence.overlap !== overlap) return null;
  return divergence.maps.find((map) => Math.abs(map.alpha - alpha) < 1e-9) ?? null;
}

function sameRectangle(a, b) {
  return a.every((edge, i) => Math.abs(edge - b[i]) <= 0.5);
}

function emptyDivergence(flat, weak, nothing, x, y) {
  if (flat) return "Both maps agree everywhere: nothing to show.";
  if (weak) return `Hardly anything on the film speaks for ${x}: there is nothing to contrast.`;
  return nothing ? `Nothing speaks more for ${x} than for ${y}.` : null;
}

function divergenceReading(response, interest, overlap, alpha) {
  const [a, b] = [response.experts[interest].map, response.experts[overlap].map];
  if (!sameRectangle(a.extent, b.extent)) {
    throw Object.assign(new Error("the experts' maps cover different rectangles of the film"), { code: "SHAPE_MISMATCH" });
  }
  const result = directedDivergence(a.values, b.values, alpha);
  const served = servedMap(response, interest, overlap, alpha);
  const flags = [...new Set([...result.flags, ...(served?.flags ?? [])])];
  if (served && served.log_k.some((row, i) => row.some((v, j) => Math.abs(v - result.logK[i][j]) > AGREEMENT * Math.max(alpha, 1)))) {
    flags.push("page_and_service_disagree");
  }
  const flat = result.logKMax === result.logKMin;
  const weak = flags.includes("x:negligible_evidence") || (a.flags ?? []).includes("negligible_evidence");
  const nothing = !flat && result.logKMax < LOW_CONTRAST_RANGE;
  if (weak && !flags.includes("x:negligible_evidence")) flags.push("x:negligible_evidence");
  if (nothing && !flags.includes("nothing_specific")) flags.push("nothing_specific");
  const [x, y] = [inSentence(interest), inSentence(overlap)];
  return {
    kind: "divergence",
    key: "divergence",
    title: `${className(interest)} rather than ${inSentence(overlap)}`,
    subtitle: `Directed divergence, α = ${Number(alpha.toPrecision(6))}: what speaks more for ${x} than for ${y}`,
    grid: result.logK,
    display: result.display,
    extent: a.extent,
    flags,
    served,
    result,
    legend: divergenceLegend(interest, overlap, result.logKMin, result.logKMax),
    empty: emptyDivergence(flat, weak, nothing, x, y),
    figures: [
      ["ln K", `${figure(result.logKMin)} … ${figure(result.logKMax)}`],
      ["entropy", `${figure(result.entropyNats)} nats`],
      ["share of top cell", `${figure(100 * result.topCellShare, 0)} %`],
      ...outside(served?.outside_lungs),
    ],
    sayCell: (row, column) => sayDivergence(interest, overlap, result.logK[row][column]),
  };
}

/** The triple of the paper's Fig. 5: both experts' maps and the directed divergence. */
export function tripleReadings(response, interest, overlap, alpha) {
  return [
    camReading(interest, response.experts[interest], 1),
    camReading(overlap, response.experts[overlap], 2),
    divergenceReading(response, interest, overlap, alpha),
  ];
}
