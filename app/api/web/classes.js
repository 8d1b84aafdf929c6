/** Networks of classes that exclude each other: one small card, only where the service has such a network. */

import { h, percent } from "./dom.js";
import { className, doubtWords } from "./words.js";

function classRow({ name, probability }, predicted) {
  const fill = h("span", { class: "fill" });
  fill.style.width = `${100 * Math.min(Math.max(probability, 0), 1)}%`;
  return h("div", { class: "label", "data-class": name },
    h("span", { class: "name" }, className(name)),
    h("span", { class: "probability", "aria-hidden": "true" }, fill),
    h("span", { class: "value" }, percent(probability)),
    name === predicted ? h("span", { class: "chip other" }, "most probable") : null);
}

function network(found) {
  return h("article", { "data-network": found.name },
    h("h4", {}, found.title),
    found.classes.map((each) => classRow(each, found.predicted)),
    found.flags?.length ? h("p", { class: "doubt" }, `Not measured on such films: ${doubtWords(found.flags)}.`) : null,
    found.explanation?.kind === "none" ? h("p", { class: "hint" }, `No map: ${found.explanation.detail ?? found.explanation.reason}.`) : null);
}

/** What the card holds; empty where no such network answered. */
export function exclusiveClasses(networks) {
  if (!networks?.length) return [];
  return [
    ...networks.map(network),
    h("p", { class: "hint" }, "Shares among these classes alone, which add up to 100 %. They answer another question than the experts and the ensemble and are never compared with them."),
  ];
}
