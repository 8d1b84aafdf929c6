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

/** What networks that predict regions say of the same film; the divergence they are compared with is the one in view. */
export async function predictedRegions(file, { interest, overlap, alpha, evidence, force }) {
  const query = new URLSearchParams({ include: "maps,predicted_regions", interest, overlap, alpha: String(alpha), evidence });
  const answer = await post(file, query, force);
  if (!answer.predicted_regions?.length) throw new Problem({ code: "unexpected_answer", detail: "no region was predicted" });
  return answer.predicted_regions;
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

/**
 * What the service can do: the `experts` that can be paired, and the networks that predict `regions`; both empty where it
 * does not say. An expert that predicts a region answers a question of its own and is no partner.
 */
export async function abilities() {
  try {
    const answer = await (await request("v1/models")).json();
    const models = Array.isArray(answer) ? answer : (answer.models ?? []);
    const experts = models.filter((model) => model.kind === "expert" && !model.region).map((model) => model.name);
    return { experts: [...new Set(experts)], regions: answer.regions ?? [] };
  } catch {
    return { experts: [], regions: [] };
  }
}
