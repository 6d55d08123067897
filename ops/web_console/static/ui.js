// Code that several views use: requests, live data, confirmations, tables, times and JSON.
import { html, render, Component, useEffect, useLayoutEffect, useMemo, useRef, useState }
  from "./vendor/preact.js";

export { html, render, Component, useEffect, useLayoutEffect, useMemo, useRef, useState };

const NO_RESPONSE = "The console does not respond: start it with `make up` or `ops console`.";

// Sends a request. If it fails, throws an error whose message the view can show.
export async function call(path, body) {
  let response;
  try {
    response = await fetch(`/api/${path}`, body && {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
  } catch {
    throw new Error(NO_RESPONSE);
  }
  const isJson = response.headers.get("Content-Type")?.startsWith("application/json");
  const value = isJson ? await response.json() : { problem: await response.text() };
  if (!response.ok) throw new Error(value.problem);
  return value;
}

export const query = (values) => new URLSearchParams(
  Object.entries(values).filter(([, value]) => value),
).toString();

// A view stores loaded data in its state, and changes the page only in effects. After the user has
// left a view, Preact ignores its state changes and effects. Views do not need to check this.

const RETRY = 10; // seconds until a failed load is repeated if the view sets no interval

// Loads data, and loads it again every `seconds` while the page is visible. If a load fails, keeps
// the data of the previous load.
export function useData(path, seconds) {
  const [state, setState] = useState({});
  const latestPath = useRef();
  latestPath.current = path;
  const load = async () => {
    if (!path) return;
    const outcome = await call(path).then((data) => ({ data }), (error) => ({
      problem: error.message }));
    // Late data for an earlier path must not replace the data for the current path.
    if (latestPath.current !== path) return;
    setState((old) => ({ data: old.path === path ? old.data : undefined, ...outcome, path }));
  };
  const current = state.path === path ? state : {};
  const pause = seconds ?? (current.problem ? RETRY : 0);
  useEffect(() => { load(); }, [path]);
  useEffect(() => {
    if (!pause) return undefined;
    const timer = setInterval(() => document.hidden || load(), pause * 1000);
    return () => clearInterval(timer);
  }, [path, pause]);
  return { ...current, reload: load };
}

// Runs an action that the user starts, and returns its state: running, its result, or a problem.
export function useTask() {
  const [state, setState] = useState({});
  const run = async (work) => {
    setState({ isRunning: true });
    try {
      setState({ result: await work() });
    } catch (error) {
      setState({ problem: error.message });
    }
  };
  return { ...state, run };
}

// Makes a change: shows the server's question, and sends the request again with the confirmation if
// the user confirms the question. Leaving the view cancels the change.
let askUser;
export async function change(action, body) {
  const view = location.hash;
  const { question, confirmation } = await call(action, body);
  if (location.hash !== view || !(await askUser(question))) {
    throw new Error("Not confirmed: nothing was changed.");
  }
  return (await call(action, { ...body, confirmation })).result;
}

export function Confirm() {
  const [open, setOpen] = useState(null);
  const dialog = useRef();
  askUser = (question) => new Promise((resolve) => setOpen({ question, resolve }));
  useEffect(() => { if (open) dialog.current.showModal(); }, [open]);
  const close = (value) => { open?.resolve(value); dialog.current.close(); setOpen(null); };
  useEffect(() => {
    const cancel = () => close(false);
    addEventListener("hashchange", cancel);
    return () => removeEventListener("hashchange", cancel);
  }, [open]);
  return html`<dialog ref=${dialog} aria-labelledby="question"
    onCancel=${(event) => { event.preventDefault(); close(false); }}>
    <p id="question">${open?.question}?</p>
    <div class="row">
      <button type="button" onClick=${() => close(false)}>Cancel</button>
      <button type="button" class="primary" onClick=${() => close(true)}>Confirm</button>
    </div>
  </dialog>`;
}

export const Problem = ({ text }) => text && html`<p class="problem" role="alert">${text}</p>`;

// Shows `children` if data is loaded. Otherwise shows that it is loading, the error, or the text
// `empty` for an empty list.
export function Loaded({ state, children, empty }) {
  if (state.problem && !state.data) return html`<${Problem} text=${state.problem} />`;
  if (!state.data) return html`<p class="quiet" aria-busy="true">Loading…</p>`;
  const isEmpty = Array.isArray(state.data) && state.data.length === 0;
  return html`<${Problem} text=${state.problem} />
    ${isEmpty && empty ? html`<p class="quiet empty">${empty}</p>` : children}`;
}

export function clock(value) {
  if (value === null || value === undefined || value === "") return "";
  const date = new Date(value);
  return Number.isNaN(date.getTime()) ? String(value) : date.toLocaleTimeString("en-GB",
    { hour12: false }) + "." + String(date.getMilliseconds()).padStart(3, "0");
}

export function ago(value) {
  if (!value) return "";
  const seconds = Math.round((Date.now() - new Date(value)) / 1000);
  const [size, unit] = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]]
    .find(([length]) => Math.abs(seconds) >= length) ?? [1, "s"];
  const amount = `${Math.round(Math.abs(seconds) / size)} ${unit}`;
  return seconds < 0 ? `in ${amount}` : `${amount} ago`;
}

export const Ago = ({ time }) => html`<time datetime=${new Date(time).toISOString()}
  title=${new Date(time).toISOString()}>${ago(time)}</time>`;

export const milliseconds = (value) => value === null || value === undefined ? ""
  : value >= 1000 ? `${(value / 1000).toFixed(2)} s`
    : `${value.toFixed(value < 10 && value % 1 ? 1 : 0)} ms`;

export function bytes(size) {
  const unit = ["B", "KiB", "MiB", "GiB"].find((_, n) => size < 1024 ** (n + 1)) ?? "TiB";
  const power = ["B", "KiB", "MiB", "GiB", "TiB"].indexOf(unit);
  return `${(size / 1024 ** power).toFixed(power ? 1 : 0)} ${unit}`;
}

const text = (value) => typeof value === "string" ? value : JSON.stringify(value);

// A table of objects. `columns` maps a heading to a key, or to a function of the row.
export function Table({ rows, columns, label }) {
  const cell = (row, column) => {
    const value = typeof column === "function" ? column(row) : row[column];
    if (value === null || value === undefined) return html`<span class="quiet">–</span>`;
    return typeof value === "object" && (value.type || Array.isArray(value)) ? value : text(value);
  };
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${label}><table>
    <thead><tr>${Object.keys(columns).map((name) => html`<th scope="col">${name}</th>`)}
    </tr></thead>
    <tbody>${rows.map((row) => html`<tr>
      ${Object.entries(columns).map(([, column]) => html`<td>${cell(row, column)}</td>`)}</tr>`)}
    </tbody></table></div>`;
}

export const Json = ({ value, label = "JSON" }) => html`<pre class="code" tabindex="0"
  role="region" aria-label=${label}>${typeof value === "string" ? value
    : JSON.stringify(value, null, 2)}</pre>`;

export const Facts = ({ values }) => html`<dl class="facts">${Object.entries(values)
  .filter(([, value]) => value !== null && value !== undefined && value !== "")
  .map(([name, value]) => html`<div><dt>${name}</dt><dd>${text(value)}</dd></div>`)}</dl>`;

const LEVELS = { ERROR: "bad", CRITICAL: "bad", WARNING: "warn" };

export const Lines = ({ lines, label }) => html`<ol class="lines" tabindex="0"
  aria-label=${label}>${lines.map((line) => html`<li class=${LEVELS[line.level] ?? ""}>
    <time>${clock(line.time)}</time>
    <span class="level">${line.level}</span>
    <span>${line.message} <span class="quiet">${Object.entries(line.fields)
      .map(([name, value]) => `${name}=${text(value)}`).join(" ")}</span></span></li>`)}</ol>`;

export const Tabs = ({ base, names, current }) => html`<nav class="tabs" aria-label=${base}>
  ${Object.entries(names).map(([key, name]) => html`<a href=${`#/${base}/${key}`}
    aria-current=${key === current ? "page" : null}>${name}</a>`)}</nav>`;

export const isDeadLetter = (queue) => queue.includes("-dlq");

export const link = (...parts) => `#/${parts.map(encodeURIComponent).join("/")}`;

// Receives server-sent events, each with a list of items, and calls `onItems` with each list.
// Connects again if the connection ends, for example because the console restarts.
export function follow(path, since, onItems, onProblem) {
  let source, timer, last = since, isEnded = false;
  const open = () => {
    source = new EventSource(`/api/live/${path}${path.includes("?") ? "&" : "?"}since=${last}`);
    source.onmessage = (event) => {
      const items = JSON.parse(event.data);
      onProblem("");
      if (items.length) last = Math.max(last, items[items.length - 1].time + 1);
      onItems(items);
    };
    source.addEventListener("problem", (event) => onProblem(JSON.parse(event.data).problem));
    source.onerror = () => {
      source.close();
      if (!isEnded) timer = setTimeout(open, 2000);
    };
  };
  open();
  return () => { isEnded = true; clearTimeout(timer); source.close(); };
}
