/** Building and finding elements; text is always set as text, never as markup. */

/** Create an element: h("p", {class: "x", onclick: f, "aria-label": "y"}, "text", child, …). */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const byId = (id) => document.getElementById(id);

/** A PNG written in base64, as a blob. */
export function pngBlob(base64) {
  return new Blob([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))], { type: "image/png" });
}

/** A number for reading: few digits, a true minus sign. */
export function figure(value, digits = 2) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  return value.toFixed(digits).replace(/^-(?=0(\.0*)?$)/, "").replace("-", "−");
}

/** A share as a percentage; what only rounds to 0 or 100 % is not shown as certain. */
export function percent(value, digits = 0) {
  if (!Number.isFinite(value)) return "–";
  const step = 10 ** -digits;
  if (value < 1 && 100 * value >= 100 - step / 2) return `> ${figure(100 - step, digits)} %`;
  if (value > 0 && 100 * value < step / 2) return `< ${figure(step, digits)} %`;
  return `${figure(100 * value, digits)} %`;
}

/** K as a reader takes it in: plain up to six digits, then a power of ten. */
export function ratio(logK) {
  if (logK > 709) return `10^${figure(logK / Math.LN10, 0)}`;
  const k = Math.exp(logK);
  if (k >= 1e6 || k < 1e-3) {
    const [mantissa, exponent] = k.toExponential(1).split("e");
    return `${mantissa} × 10^${String(Number(exponent)).replace("-", "−")}`;
  }
  return k >= 100 ? Math.round(k).toLocaleString("en") : Number(k.toPrecision(3)).toString();
}
