/** The map of one finding of the ensemble, below the findings: asked for when it is first wanted, for all of them. */

import { h } from "./dom.js";
import { Panel } from "./panel.js";
import { labelReading } from "./readings.js";
import { className } from "./words.js";

export class LabelMap {
  /** `ask(signal)`: the ensemble with its maps; `look()`: colours and opacity; `tell(text)`; `onHide()`: H pressed. */
  constructor(host, { ask, look, tell, onHide }) {
    Object.assign(this, { host, ask, look, tell, name: null, ensemble: null, asking: null });
    this.panel = new Panel({ onPoint: (cell) => this.panel.setCell(cell), onHide, onEnlarge: () => this.#enlarge() });
    this.note = h("p", { class: "hint", role: "status" });
    host.append(this.note, this.panel.element);
    this.forget(null, null);
  }

  /** Another film: its maps have not been asked for. */
  forget(film, image) {
    this.asking?.abort();
    Object.assign(this, { film, image, name: null, ensemble: null, asking: null });
    this.#mark();
  }

  /** Show a finding's map, or take it away if it is the one that is shown. */
  async toggle(name) {
    this.name = this.name === name ? null : name;
    this.panel.setCell(null);
    this.#mark();
    if (this.name === null || this.asking) return;
    if (!this.ensemble) {
      const asking = new AbortController();
      this.asking = asking;
      this.note.textContent = "Asking for the ensemble’s maps…";
      try {
        const ensemble = await this.ask(asking.signal);
        if (this.asking !== asking) return;
        this.ensemble = ensemble;
      } catch (error) {
        if (this.asking !== asking) return;
        this.note.textContent = "The ensemble’s maps could not be had. Choose the finding again to try once more.";
        this.name = null;
        this.#mark(false);
        if (error.code === undefined) console.error(error);
        return;
      } finally {
        if (this.asking === asking) this.asking = null;
      }
    }
    this.draw();
    if (this.name === null) return;
    this.tell(`Map of ${className(this.name)} shown below the findings.`);
    this.host.scrollIntoView({ block: "nearest" });
  }

  draw() {
    if (this.name === null || !this.ensemble) return;
    const label = this.ensemble.labels.find((one) => one.name === this.name);
    this.note.textContent = "";
    this.panel.element.hidden = false;
    this.panel.show(this.film, this.image, labelReading(label), this.look(), []);
  }

  #mark(clear = true) {
    this.host.hidden = this.name === null && clear;
    this.panel.element.hidden = true;
    if (clear) this.note.textContent = "";
    for (const button of document.querySelectorAll(".tree .name button")) {
      button.setAttribute("aria-pressed", String(button.dataset.map === this.name));
    }
  }

  #enlarge() {
    const large = this.host.classList.toggle("large");
    this.panel.enlarge.setAttribute("aria-pressed", String(large));
  }
}
