"use strict";

// Where the sign-in page of this server keeps the token of this tab.
const KEPT = "fusion-kit.token";

// What is shown of an answer at most; a stream may have no end.
const MOST = 256 * 1024;

function made(name, text, inside = []) {
  const element = document.createElement(name);
  if (text) element.textContent = text;
  element.append(...inside);
  return element;
}

// The names in a table of the page, with what stands beside each.
function rows(section, kind) {
  const found = section.querySelectorAll(`table.${kind} tr`);
  return [...found].map((row) => [...row.cells].map((cell) => cell.textContent));
}

function field(name, value = "") {
  const input = made("input");
  input.name = name;
  input.value = value;
  return input;
}

function labelled(input, words) {
  return made("label", `${words} `, [input]);
}

// A body with every field that must be given.
function skeleton(section) {
  const needed = rows(section, "body").filter(([, needed]) => needed === "required");
  return JSON.stringify(Object.fromEntries(needed.map(([name]) => [name, ""])), null, 2);
}

// The address, relative to this page: a proxy may put all of it below a path.
function address(section, inputs) {
  let path = section.dataset.path.slice(1);
  const query = new URLSearchParams();
  for (const { input, where } of inputs) {
    if (where === "path") path = path.replace(`{${input.name}}`, encodeURIComponent(input.value));
    if (where === "query" && input.value) query.append(input.name, input.value);
  }
  return query.size > 0 ? `${path}?${query}` : path;
}

function request(section, form, signal) {
  const headers = {};
  const token = sessionStorage.getItem(KEPT);
  if (token) headers.Authorization = `Bearer ${token}`;
  const body = form.elements.body?.value;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const tag = form.elements["If-Match"]?.value;
  if (tag) headers["If-Match"] = tag;
  return {
    method: section.dataset.method,
    headers,
    body,
    signal,
    cache: "no-store",
    credentials: "omit",
    redirect: "error",
  };
}

// Shows an answer as it comes.
async function show(answer, shown) {
  const tag = answer.headers.get("ETag");
  shown.textContent = `${answer.status} ${answer.headers.get("Content-Type") ?? ""}${tag ? ` ETag: ${tag}` : ""}\n\n`;
  if (!answer.body) return;
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let length = 0; length < MOST; ) {
    const { done, value } = await reader.read();
    if (done) return;
    length += value.length;
    shown.append(value);
  }
  await reader.cancel();
  shown.append("\n(there is more)");
}

async function send(section, form, inputs, shown) {
  const stop = new AbortController();
  form.elements.stop.hidden = false;
  form.elements.stop.onclick = () => stop.abort();
  shown.textContent = "";
  try {
    await show(await fetch(address(section, inputs), request(section, form, stop.signal)), shown);
  } catch {
    shown.append(stop.signal.aborted ? "\n(stopped)" : "The server does not answer.");
  }
  form.elements.stop.hidden = true;
}

function button(words, type) {
  const button = made("button", words);
  button.type = type;
  return button;
}

// The form by which an operation is tried.
function open(section) {
  const inputs = rows(section, "parameters").map(([name, where]) => ({ input: field(name), where }));
  for (const { input, where } of inputs) input.required = where === "path";
  const parts = inputs.map(({ input }) => labelled(input, input.name));
  if (section.querySelector("table.body")) {
    const body = made("textarea");
    body.name = "body";
    body.rows = 8;
    body.value = skeleton(section);
    parts.push(labelled(body, "Body"));
  }
  if (!["GET", "POST"].includes(section.dataset.method)) parts.push(labelled(field("If-Match"), "If-Match"));
  const stop = button("Stop", "button");
  stop.name = "stop";
  stop.hidden = true;
  const form = made("form", "", [...parts, button("Send", "submit"), stop]);
  const shown = made("pre");
  shown.setAttribute("role", "status");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send(section, form, inputs, shown);
  });
  return [form, shown];
}

document.addEventListener("DOMContentLoaded", () => {
  const words = sessionStorage.getItem(KEPT)
    ? "You are signed in: what is tried here is done as you."
    : "Nobody is signed in here: open the link that `fusion-kit dashboard` prints in this tab, then come back.";
  document.getElementById("told").textContent = words;
  for (const section of document.querySelectorAll("section[data-path]")) {
    const trying = button("Try it", "button");
    trying.addEventListener("click", () => trying.replaceWith(...open(section)), { once: true });
    section.append(trying);
  }
});
