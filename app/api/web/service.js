/** The HTTP service, as functions. Every failure is a `Problem` with the code that words.js explains. */

const TIMEOUT_MS = 120_000;
/** The longer side of the film that the page draws on; the maps themselves come as grids. */
const FILM_SIZE_PX = 1024;

export class Problem extends Error {
  constructor({ code, status = null, detail = "", retryAfterS = null, body = null }) {
    super(detail || code);
    this.name = "Problem";
    Object.assign(this, { code, status, detail, retryAfterS, body });
  }
}

async function toProblem(response) {
  const retryAfterS = Number.parseInt(response.headers.get("Retry-After") ?? "", 10);
  let body = null;
  try {
    body = await response.json();
  } catch {
    // A proxy in between answers in HTML; the status still says enough.
  }
  return new Problem({
    code: body?.code ?? null,
    status: response.status,
    detail: typeof body?.detail === "string" ? body.detail : (body?.title ?? ""),
    retryAfterS: Number.isFinite(retryAfterS) ? retryAfterS : null,
    body,
  });
}

async function request(path, options = {}, cancelled = null) {
  const limit = AbortSignal.timeout(TIMEOUT_MS);
  const signal = cancelled ? AbortSignal.any([cancelled, limit]) : limit;
  let response;
  try {
    response = await fetch(path, { ...options, signal });
  } catch (error) {
    if (cancelled?.aborted) throw new Problem({ code: "cancelled" });
    if (limit.aborted) throw new Problem({ code: "timeout", detail: `no answer within ${TIMEOUT_MS / 1000} s` });
    throw new Problem({ code: "network", detail: String(error.message ?? error) });
  }
  if (!response.ok) throw await toProblem(response);
  return response;
}

/**
 * Screen one film. The file is sent under a neutral name: file names may name patients.
 * `options`: {interest, overlap, alpha, evidence, pretest, force}; what is null is left to the service.
 */
export async function screen(file, options, cancelled) {
  const query = new URLSearchParams({ include: "maps,film,ensemble,regions,multiclass", overlay_size: String(FILM_SIZE_PX) });
  for (const name of ["interest", "overlap", "alpha", "evidence"]) {
    if (options[name] !== null && options[name] !== undefined) query.set(name, String(options[name]));
  }
  if (options.pretest !== null && options.pretest !== undefined) query.set("pretest_probability", String(options.pretest));
  return post(file, query, options.force, cancelled);
}

/** The ensemble's findings of the same film, each with its map. */
export async function ensembleWithMaps(file, { force }, cancelled) {
  const answer = await post(file, new URLSearchParams({ include: "ensemble_maps" }), force, cancelled);
  if (!answer.ensemble?.labels?.every((label) => label.map)) {
    throw new Problem({ code: "unexpected_answer", detail: "a finding has no map" });
  }
  return answer.ensemble;
}

async function post(file, query, force, cancelled) {
  if (force) query.set("force", "true");
  const body = new FormData();
  body.append("image", file, "film");
  const response = await request(`v1/screenings?${query}`, { method: "POST", body }, cancelled);
  try {
    return await response.json();
  } catch (error) {
    if (cancelled?.aborted) throw new Problem({ code: "cancelled" });
    throw new Problem({ code: "unexpected_answer", status: response.status, detail: String(error.message ?? error) });
  }
}

/** What the example film is, {title, source, licence}, or null where the service ships none. */
export async function describeExample() {
  try {
    const description = await (await request("v1/example?describe=1")).json();
    return description.available ? description : null;
  } catch {
    return null;
  }
}

/** The example film as a file, with its credit line. */
export async function fetchExample(cancelled) {
  const response = await request("v1/example", {}, cancelled);
  const type = response.headers.get("Content-Type") ?? "application/dicom";
  return { file: new File([await response.blob()], "example", { type }), source: response.headers.get("X-Source") };
}

/** The names of the experts that can be paired; empty where the service does not say. */
export async function expertNames() {
  try {
    const answer = await (await request("v1/models")).json();
    const models = Array.isArray(answer) ? answer : (answer.models ?? []);
    return [...new Set(models.filter((model) => model.kind === "expert").map((model) => model.name))];
  } catch {
    return [];
  }
}
