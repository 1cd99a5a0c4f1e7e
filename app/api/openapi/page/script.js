"use strict";

const METHODS = ["get", "post", "put", "patch", "delete"];
let components = {};

/** Make an element. Text always becomes a text node: nothing of the document is taken for markup. */
function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) element.setAttribute(name, value);
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

/** Text with `code` in backticks. */
function words(text) {
  return (text || "").split("`").map((part, index) => (index % 2 ? make("code", {}, part) : part));
}

function paragraphs(text) {
  return (text || "").split(/\n\s*\n/).filter(Boolean).map((part) => make("p", {}, words(part)));
}

function json(value) {
  return make("pre", {}, JSON.stringify(value, null, 2));
}

function resolve(schema) {
  return schema && schema.$ref ? components.schemas[schema.$ref.split("/").pop()] : schema || {};
}

function typeName(schema) {
  if (schema.$ref) return resolve(schema).type === "object" ? resolve(schema).title : typeName(resolve(schema));
  if (schema.anyOf) return schema.anyOf.map(typeName).join(" or ");
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if ("const" in schema) return JSON.stringify(schema.const);
  if (schema.type === "array") return `list of ${typeName(schema.items || {})}`;
  return schema.format ? `${schema.type}, ${schema.format}` : schema.type || "anything";
}

/** What a value may be, in words. */
function bounds(schema) {
  const said = [];
  const between = (low, high, unit) => {
    if (low !== undefined && high !== undefined) said.push(`${low} to ${high}${unit}`);
    else if (low !== undefined) said.push(`at least ${low}${unit}`);
    else if (high !== undefined) said.push(`at most ${high}${unit}`);
  };
  for (const option of schema.anyOf || [resolve(schema)]) {
    between(option.minimum, option.maximum, "");
    between(option.minLength, option.maxLength, " characters");
    between(option.minItems, option.maxItems, " items");
    if (option.pattern) said.push(`matches ${option.pattern}`);
  }
  if (schema.default !== undefined && schema.default !== null) said.push(`${JSON.stringify(schema.default)} if left out`);
  return said.join("; ");
}

/** The object inside a schema, if there is one to open. */
function objectIn(schema) {
  const candidates = [schema, ...(schema.anyOf || [])].flatMap((one) => [one, one.items || {}]).map(resolve);
  return candidates.find((one) => one.properties);
}

function row(name, schema, required, description, depth) {
  const limits = bounds(schema);
  const inner = depth < 6 ? objectIn(schema) : undefined;
  return make(
    "tr", {},
    make("td", {}, make("code", required ? { class: "required", title: "required" } : {}, name)),
    make(
      "td", {},
      make("span", { class: "soft" }, typeName(schema)), limits ? ` · ${limits}` : "",
      description || schema.description ? make("div", {}, words(description || schema.description)) : null,
      inner ? make("details", {}, make("summary", {}, inner.title || "fields"), fields(inner, depth + 1)) : null,
    ),
  );
}

function fields(schema, depth = 0) {
  const required = schema.required || [];
  const rows = Object.entries(schema.properties || {}).map(([name, inner]) => row(name, inner, required.includes(name), "", depth));
  return make("table", {}, make("tbody", {}, rows));
}

function content(body) {
  return Object.entries(body.content || {}).flatMap(([mediaType, media]) => {
    const schema = media.schema || {};
    const object = objectIn(schema);
    const examples = Object.values(media.examples || {});
    return [
      make("div", { class: "soft" }, mediaType, media.schema ? ` · ${typeName(schema)}` : ""),
      object && !examples.length ? make("div", {}, words(object.description)) : null,
      object && !examples.length ? fields(object) : null,
      "example" in media ? json(media.example) : null,
      ...examples.map((example) => [make("div", {}, make("code", {}, example.value.code || ""), ` ${example.value.detail || example.summary}`)]),
    ].flat();
  });
}

function curl(method, path, operation) {
  const server = document.baseURI.split("/schema")[0];
  const lines = [`curl -X ${method.toUpperCase()} '${server}${path}'`];
  if (!(operation.security && !operation.security.length)) lines.push(`-H "Authorization: Bearer $ACCESS_TOKEN"`);
  const body = operation.requestBody && operation.requestBody.content["application/json"];
  if (body) lines.push("-H 'Content-Type: application/json'", `-d '${JSON.stringify(body.example).replaceAll("'", "'\\''")}'`);
  return make("pre", {}, lines.join(" \\\n  "));
}

function response(status, answer) {
  return make(
    "details", { class: "response" },
    make("summary", {}, make("span", { class: status < "4" ? "ok" : "bad" }, status), " ", words(answer.description)),
    Object.entries(answer.headers || {}).filter(([, header]) => !header.$ref).map(([name, header]) =>
      make("div", {}, make("code", {}, name), " ", words(header.description))),
    content(answer),
  );
}

function operationOf(path, method, operation) {
  const open = operation.security && !operation.security.length;
  const parameters = operation.parameters || [];
  return make(
    "details", { class: "operation", id: operation.operationId },
    make(
      "summary", {},
      make("span", { class: `method ${method}` }, method), make("span", { class: "path" }, path),
      make("span", { class: "summary" }, operation.summary),
    ),
    make(
      "div", {},
      paragraphs(operation.description),
      make("p", { class: "soft" }, open ? "Open to all." : "Needs an access token."),
      parameters.length
        ? [make("h3", {}, "Parameters"), make("table", {}, make("tbody", {}, parameters.map((one) =>
          row(`${one.name}`, one.schema, one.required, [`In the ${one.in}.`, one.description].filter(Boolean).join(" "), 0))))]
        : [],
      operation.requestBody ? [make("h3", {}, "Request"), content(operation.requestBody)] : [],
      make("h3", {}, "Call"), curl(method, path, operation),
      make("h3", {}, "Answers"), Object.entries(operation.responses).map(([status, answer]) => response(status, answer)),
    ),
  );
}

function show(specification) {
  components = specification.components || {};
  document.title = `${specification.info.title} API`;
  const main = document.getElementById("main");
  const contents = document.getElementById("contents");
  main.replaceChildren(
    make("h1", {}, specification.info.title, " ", make("small", { class: "soft" }, specification.info.version)),
    ...paragraphs(specification.info.description),
    make("p", {}, make("a", { href: "/schema/openapi.json" }, "openapi.json")),
  );
  for (const tag of specification.tags) {
    const section = make("section", {}, make("h2", {}, tag.name), paragraphs(tag.description));
    const list = make("ul", {});
    for (const [path, item] of Object.entries(specification.paths)) {
      for (const method of METHODS.filter((one) => item[one] && (item[one].tags || [])[0] === tag.name)) {
        section.append(operationOf(path, method, item[method]));
        const link = make("a", { href: `#${item[method].operationId}` }, make("span", { class: `method ${method}` }, method), item[method].summary);
        list.append(make("li", { "data-text": `${method} ${path} ${item[method].summary}`.toLowerCase() }, link));
      }
    }
    contents.append(make("div", {}, make("h2", {}, tag.name), list));
    main.append(section);
  }
  openTarget();
}

function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target instanceof HTMLDetailsElement) {
    target.open = true;
    target.scrollIntoView();
  }
}

function search(event) {
  const wanted = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const group of document.querySelectorAll("#contents > div")) {
    const items = [...group.querySelectorAll("li")];
    for (const item of items) item.hidden = !wanted.every((word) => item.dataset.text.includes(word));
    group.hidden = items.every((item) => item.hidden);
  }
}

document.getElementById("search").addEventListener("input", search);
addEventListener("hashchange", openTarget);
fetch("/schema/openapi.json")
  .then((answer) => (answer.ok ? answer.json() : Promise.reject(new Error(`the server answered ${answer.status}`))))
  .then(show)
  .catch((error) => document.getElementById("main").replaceChildren(make("p", {}, `The document could not be shown: ${error.message}.`)));
