// Shows /api/openapi.json: operations by tag, and the schemas that they refer to. What the document says is inserted as
// text, never as markup.

const DOCUMENT = "/api/openapi.json";
const METHODS = ["get", "post", "put", "patch", "delete"];

const byId = (id) => document.getElementById(id);

/** An element with attributes. Children that are strings become text. */
function element(name, attributes, ...children) {
  const created = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    created.setAttribute(key, value);
  }
  created.append(...children.flat());
  return created;
}

const code = (text) => element("code", {}, text);

/** Items with text between them. */
const join = (items, separator) =>
  items.flatMap((item, index) => (index === 0 ? item : [separator, ...item]));

/** The parts of a text, with code where it has backticks. */
const inline = (text) =>
  text.split(/`([^`]+)`/).map((part, index) => (index % 2 === 1 ? code(part) : part));

const paragraphs = (text) =>
  (text ?? "")
    .split(/\n\s*\n/)
    .filter((part) => part !== "")
    .map((part) => element("p", {}, inline(part)));

function table(heads, rows) {
  const cells = (name, row) =>
    element("tr", {}, row.map((cell) => element(name, {}, cell)));
  return element(
    "table",
    {},
    element("thead", {}, cells("th", heads)),
    element("tbody", {}, rows.map((row) => cells("td", row))),
  );
}

/** The type of a schema in one line, as nodes and texts. */
function typeOf(schema = {}) {
  if (schema.$ref !== undefined) {
    const name = schema.$ref.split("/").at(-1);
    return [element("a", { href: `#schema-${encodeURIComponent(name)}` }, name)];
  }
  const union = schema.oneOf ?? schema.anyOf;
  if (union !== undefined) {
    return join(union.map(typeOf), " | ");
  }
  if (schema.allOf !== undefined) {
    return join(schema.allOf.map(typeOf), " & ");
  }
  const values = schema.enum ?? (schema.const === undefined ? undefined : [schema.const]);
  if (values !== undefined) {
    return join(values.map((value) => [code(JSON.stringify(value))]), " | ");
  }
  const types = [schema.type ?? "any"].flat();
  return join(types.map((type) => simpleType(type, schema)), " | ");
}

function simpleType(type, schema) {
  if (type === "array") {
    return ["array of (", ...typeOf(schema.items), ")"];
  }
  if (type === "object" && typeof schema.additionalProperties === "object") {
    return ["map of (", ...typeOf(schema.additionalProperties), ")"];
  }
  return [schema.format === undefined ? type : `${type} (${schema.format})`];
}

/** What a field accepts in addition to its type. */
function limits(schema = {}) {
  const named = [
    ["from", schema.minimum],
    ["to", schema.maximum],
    ["default", schema.default],
  ];
  return named
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name} ${JSON.stringify(value)}`)
    .join(", ");
}

const described = (text, schema) => [
  ...paragraphs(text),
  element("span", { class: "muted" }, limits(schema)),
];

const nameOf = (name, isRequired) =>
  isRequired ? [code(name), " ", element("span", { class: "muted" }, "required")] : [code(name)];

/** A schema with its fields or variants. */
function schemaDetails(schema) {
  const content = paragraphs(schema.description);
  const variants = schema.oneOf ?? schema.anyOf ?? schema.allOf;
  if (schema.properties !== undefined) {
    const required = new Set(schema.required ?? []);
    const rows = Object.entries(schema.properties).map(([name, field]) => [
      nameOf(name, required.has(name)),
      typeOf(field),
      described(field.description, field),
    ]);
    content.push(table(["Field", "Type", "Description"], rows));
  } else if (variants !== undefined) {
    const items = variants.map((variant) => element("li", {}, schemaDetails(variant)));
    content.push(element("ul", {}, items));
  } else {
    content.push(element("p", {}, typeOf(schema)));
  }
  return content;
}

/** The schemas of a request or response body, by media type. */
const bodies = (content = {}) =>
  Object.entries(content).map(([mediaType, body]) =>
    element("p", {}, code(mediaType), ": ", ...typeOf(body.schema)),
  );

function parameters(operation) {
  const rows = (operation.parameters ?? []).map((parameter) => [
    nameOf(parameter.name, parameter.required),
    parameter.in,
    typeOf(parameter.schema),
    described(parameter.description, parameter.schema),
  ]);
  const heads = ["Parameter", "In", "Type", "Description"];
  return rows.length === 0 ? [] : [element("h3", {}, "Parameters"), table(heads, rows)];
}

function requestBody(operation) {
  const body = operation.requestBody;
  return body === undefined ? [] : [element("h3", {}, "Body"), ...bodies(body.content)];
}

function responses(operation) {
  const rows = Object.entries(operation.responses ?? {}).map(([status, response]) => [
    [code(status)],
    [...paragraphs(response.description), ...bodies(response.content)],
  ]);
  return [element("h3", {}, "Responses"), table(["Status", "Response"], rows)];
}

/** A part that is opened by its title or by a link to it. */
function expandable(id, title, content) {
  const part = element(
    "details",
    { id },
    element("summary", {}, title),
    element("div", { class: "content" }, content),
  );
  part.words = part.textContent.toLowerCase();
  return part;
}

function operationPart(path, method, operation) {
  const title = [
    element("span", { class: `method ${method}` }, method),
    element("span", { class: "path" }, path),
    ...inline(operation.summary ?? ""),
  ];
  return expandable(`operation-${operation.operationId}`, title, [
    ...paragraphs(operation.description),
    ...parameters(operation),
    ...requestBody(operation),
    ...responses(operation),
  ]);
}

function operationsByTag(description) {
  const groups = new Map();
  for (const [path, item] of Object.entries(description.paths)) {
    for (const method of METHODS.filter((method) => method in item)) {
      const tag = item[method].tags?.[0] ?? "other";
      const parts = groups.get(tag) ?? [];
      groups.set(tag, [...parts, operationPart(path, method, item[method])]);
    }
  }
  return groups;
}

function show(description) {
  document.title = description.info.title;
  byId("title").textContent = description.info.title;
  byId("description").replaceChildren(...inline(description.info.description ?? ""));
  byId("version").textContent = description.info.version;
  for (const [tag, parts] of operationsByTag(description)) {
    const id = `tag-${tag}`;
    byId("tags").append(element("a", { href: `#${encodeURIComponent(id)}` }, tag));
    const title = element("h2", { id }, tag);
    byId("operations").append(element("section", { "aria-labelledby": id }, title, parts));
  }
  for (const [name, schema] of Object.entries(description.components?.schemas ?? {})) {
    byId("schemas").append(expandable(`schema-${name}`, [code(name)], schemaDetails(schema)));
  }
}

/** Shows only parts that have all words of the filter. */
function filter() {
  const words = byId("filter").value.toLowerCase().split(/\s+/).filter((word) => word !== "");
  let shown = 0;
  for (const section of document.querySelectorAll("main section")) {
    const parts = [...section.querySelectorAll("details")];
    for (const part of parts) {
      part.hidden = !words.every((word) => part.words.includes(word));
    }
    const matching = parts.filter((part) => !part.hidden).length;
    section.hidden = matching === 0;
    shown += section.id === "schemas" ? 0 : matching;
  }
  byId("status").textContent = `${shown} operations`;
}

/** Opens what the address of the page names. */
function openTarget() {
  const target = byId(decodeURIComponent(location.hash.slice(1)));
  if (target === null) {
    return;
  }
  if (target.closest("[hidden]") !== null) {
    byId("filter").value = "";
    filter();
  }
  if (target instanceof HTMLDetailsElement) {
    target.open = true;
    target.querySelector("summary").focus();
  }
  target.scrollIntoView();
}

function useKey(event) {
  const field = byId("filter");
  if (event.key === "/" && document.activeElement !== field) {
    event.preventDefault();
    field.focus();
  } else if (event.key === "Escape" && document.activeElement === field) {
    field.value = "";
    filter();
  }
}

async function load() {
  const response = await fetch(DOCUMENT);
  if (!response.ok) {
    throw new Error(`the response has status ${response.status}`);
  }
  show(await response.json());
  filter();
  openTarget();
  byId("filter").addEventListener("input", filter);
  addEventListener("hashchange", openTarget);
  addEventListener("keydown", useKey);
}

load().catch((error) => {
  byId("status").textContent = `${DOCUMENT} cannot be shown: ${error.message}. Reload the page when the gateway is running.`;
});
