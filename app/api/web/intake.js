/** How a film comes to the page: chosen, dropped or pasted. */

import { byId, pngBlob } from "./dom.js";

/** Call `onFilm(file)` with every film that the reader hands over, `onNothing()` where a drop or paste held none. */
export function watchIntake(onFilm, onNothing) {
  const input = byId("file");
  input.addEventListener("change", () => {
    const [file] = input.files;
    if (file) onFilm(file);
    input.value = "";
  });

  let depth = 0;
  const holdsFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  const mark = (on) => { byId("dropping").hidden = !on; };
  window.addEventListener("dragenter", (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    depth += 1;
    mark(true);
  });
  window.addEventListener("dragover", (event) => holdsFiles(event) && event.preventDefault());
  window.addEventListener("dragleave", () => {
    depth = Math.max(depth - 1, 0);
    if (depth === 0) mark(false);
  });
  window.addEventListener("drop", (event) => {
    depth = 0;
    mark(false);
    if (!event.dataTransfer) return;
    event.preventDefault();
    const [file] = event.dataTransfer.files;
    if (file) onFilm(file);
    else onNothing();
  });

  document.addEventListener("paste", (event) => {
    const [file] = event.clipboardData?.files ?? [];
    if (!file) return;
    event.preventDefault();
    onFilm(file);
  });
}

/** The film to draw on: the service's rendering, or, where an answer holds none, the reader's own PNG or JPEG. */
export async function filmBitmap(response, file) {
  const rendered = response.film?.png;
  return createImageBitmap(rendered ? pngBlob(rendered) : file);
}
