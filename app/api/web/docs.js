/** The list of operations at /docs, drawn from openapi.json: no outside request, nothing inline. */

import { byId, h } from "./dom.js";

const METHODS = ["get", "post", "put", "patch", "delete"];

/** A schema in a few words: "integer", "list of number", "one of row, contrast", "DivergenceRequest". */
function words(schema) {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.anyOf) return [...new Set(schema.anyOf.map(words))].filter((each) => each !== "null").join(" or ");
  if (schema.enum) return `one of ${schema.enum.join(", ")}`;
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.type === "array") return `list of ${words(schema.items) || "values"}`;
  if (schema.format === "binary") return "file";
  return (schema.type === "object" && schema.title) || schema.type || "any";
}

const table = (head, rows) => h("div", { class: "scroll" }, h("table", {},
  h("thead", {}, h("tr", {}, head.map((text) => h("th", { scope: "col" }, text)))),
  h("tbody", {}, rows.map((cells) => h("tr", {}, cells.map((cell) => h("td", {}, cell)))))));

function parameters(found) {
  if (!found?.length) return null;
  const rows = found.map((each) => [
    h("code", {}, each.name), each.in, words(each.schema),
    each.required ? "required" : JSON.stringify(each.schema?.default ?? null), each.description ?? "",
  ]);
  return [h("h3", {}, "Parameters"), table(["name", "in", "type", "default", "meaning"], rows)];
}

function body(found) {
  if (!found) return null;
  const rows = Object.entries(found.content).map(([type, { schema }]) => {
    const fields = Object.entries(schema?.properties ?? {}).map(([name, each]) => `${name}: ${words(each)}`);
    return [h("code", {}, type), fields.join("; ") || words(schema)];
  });
  return [h("h3", {}, "Body, one of"), table(["content type", "content"], rows)];
}

function answers(found) {
  const rows = Object.entries(found).map(([status, each]) => {
    const content = Object.entries(each.content ?? {}).map(([type, { schema }]) => `${type} ${words(schema)}`.trim());
    return [h("code", {}, status), each.description, content.join(", ")];
  });
  return [h("h3", {}, "Answers"), table(["status", "meaning", "content"], rows)];
}

function command(method, path, operation) {
  const url = `${new URL(".", document.baseURI).href.replace(/\/$/, "")}${path}`;
  const types = Object.keys(operation.requestBody?.content ?? {});
  if (types.includes("multipart/form-data")) return `curl -F image=@film.png '${url}'`;
  if (types.includes("application/json")) {
    return `curl -H 'Content-Type: application/json' -d '{"x": [[1, 2]], "x_prime": [[2, 1]], "alpha": 15}' '${url}'`;
  }
  return `curl ${method === "get" ? "" : `-X ${method.toUpperCase()} `}'${url}'`;
}

function operation(path, method, found) {
  return h("section", {},
    h("h2", {}, h("code", {}, `${method.toUpperCase()} ${path}`), ` ${found.summary ?? ""}`),
    h("p", {}, found.description ?? ""),
    parameters(found.parameters), body(found.requestBody), answers(found.responses),
    h("h3", {}, "Try it"), h("pre", {}, command(method, path, found)));
}

const target = byId("operations");
try {
  const description = await (await fetch("openapi.json")).json();
  target.append(...Object.entries(description.paths).flatMap(([path, methods]) =>
    METHODS.filter((method) => methods[method]).map((method) => operation(path, method, methods[method]))));
} catch {
  target.append(h("p", { role: "alert" }, "The description of the service could not be read."));
}
