// The latest requests and frames, and the waterfall of one of them.
import { Facts, Lines, Loaded, Problem, ago, clock, html, link, milliseconds, useData,
  useLayoutEffect, useMemo, useRef, useState } from "../ui.js";
import { MAXIMUM_REQUESTS, key, useRequests } from "./feed.js";

const ROW = 34; // pixels, as in style.css
const MARGIN = 10; // rows above and below the visible ones

export function RequestsView({ path }) {
  return path[0] ? html`<${Waterfall} id=${path[0]} time=${path[1]} />` : html`<${List} />`;
}

const state = (item) => item.failed ? "bad" : /^[45]|_/.test(item.status) ? "warn" : "good";

function List() {
  const { items, problem } = useRequests();
  const [filter, setFilter] = useState({ service: "", status: "", text: "" });
  const services = useMemo(() => [...new Set(items.map((item) => item.service))].sort(), [items]);
  const shown = useMemo(() => {
    const words = filter.text.toLowerCase();
    return items.filter((item) => (!filter.service || item.service === filter.service)
      && (!filter.status || state(item) === filter.status)
      && (!words || `${item.method} ${item.route} ${item.status} ${item.caller}`
        .concat(` ${item.correlation_id}`).toLowerCase().includes(words))).reverse();
  }, [items, filter]);
  const set = (name) => (event) => setFilter({ ...filter, [name]: event.target.value });
  return html`<form class="row" onSubmit=${(event) => event.preventDefault()}>
      <label>Service <select value=${filter.service} onChange=${set("service")}>
        <option value="">all</option>${services.map((name) => html`<option>${name}</option>`)}
      </select></label>
      <label>Status <select value=${filter.status} onChange=${set("status")}>
        <option value="">all</option><option value="good">successful</option>
        <option value="warn">rejected</option><option value="bad">failed</option></select></label>
      <label class="wide">Search <input type="search" value=${filter.text}
        placeholder="route, caller, correlation id" onInput=${set("text")} /></label>
      <p class="quiet" role="status">${shown.length} of ${items.length}
        ${items.length === MAXIMUM_REQUESTS ? " latest" : ""} requests</p>
    </form>
    <${Problem} text=${problem} />
    ${items.length === 0 && !problem && html`<p class="quiet empty">
      No requests in the last hour. Call the API, and the requests appear here within seconds.</p>`}
    <${Rows} items=${shown} />`;
}

// A list that renders only the visible rows.
function Rows({ items }) {
  const box = useRef();
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(600);
  useLayoutEffect(() => {
    const measure = () => setHeight(box.current.clientHeight);
    measure();
    addEventListener("resize", measure);
    return () => removeEventListener("resize", measure);
  }, []);
  const count = Math.ceil(height / ROW) + 2 * MARGIN;
  // A filter can make the list shorter than its scroll position.
  const first = Math.max(0, Math.min(Math.floor(top / ROW) - MARGIN, items.length - count));
  const visible = items.slice(first, first + count);
  const move = (event) => {
    const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
    const next = step && event.target.closest("li")?.[step]?.querySelector("a");
    if (next) { event.preventDefault(); next.focus(); }
  };
  return html`<div class="heads" aria-hidden="true"><span>Time</span><span>Status</span>
      <span>Request</span><span>Service</span><span>Caller</span><span>Duration</span></div>
    <div class="rows" ref=${box} tabindex="-1" onScroll=${() => setTop(box.current.scrollTop)}
      onKeyDown=${move}>
    <ol aria-label="Requests, newest first" style=${{ height: `${items.length * ROW}px`,
      paddingTop: `${first * ROW}px` }}>
      ${visible.map((item) => html`<li key=${key(item)}>
        <a href=${link("requests", item.correlation_id, String(item.time))}>
          <time>${clock(item.time)}</time>
          <span class=${`chip ${state(item)}`}>${item.status}</span>
          <span class="what"><b>${item.method || "WS"}</b> ${item.route}</span>
          <span>${item.service}</span>
          <span class="quiet">${item.caller}</span>
          <span class="number">${milliseconds(item.duration)}</span>
        </a></li>`)}
    </ol></div>`;
}

function Waterfall({ id, time }) {
  const since = time ? Number(time) - 15 * 60_000 : "";
  const trace = useData(`trace/${encodeURIComponent(id)}?since=${since}`, 5);
  return html`<p><a href="#/requests">← All requests</a></p>
    <${Loaded} state=${trace}>${trace.data && html`<${Spans} trace=${trace.data} />`}</${Loaded}>`;
}

function Spans({ trace }) {
  const total = Math.max(trace.duration, 1);
  const failed = trace.spans.filter((span) => span.error);
  return html`<p>Correlation id <code>${trace.correlation_id}</code>,
      ${" "}${milliseconds(trace.duration)}, ${ago(trace.start)}
      ${Object.entries(trace.links).map(([name, url]) => html`
        · <a href=${url} rel="noreferrer" target="_blank">${name}</a>`)}</p>
    ${failed.map((span) => html`<p class="problem" role="alert"><b>${span.service} failed:</b>
      ${" "}${span.error}</p>`)}
    <ol class="waterfall" aria-label="Waterfall">${trace.spans.map((span) => html`<li>
      <details open=${Boolean(span.error)}><summary>
        <span class="what"><b>${span.service}</b> <span class="quiet">${span.kind}</span>
          ${" "}${span.name}</span>
        <span class="track"><span class=${`bar ${span.kind} ${span.error ? "bad" : ""}`}
          style=${{ left: `${100 * Math.min(Math.max(span.start - trace.start, 0) / total, 0.99)}%`,
            width: `${Math.max(100 * span.duration / total, 0.6)}%` }}></span></span>
        <span class="number">${milliseconds(span.duration)}</span>
        <span class=${`chip ${span.error ? "bad" : "good"}`}>${span.status || "ok"}</span>
      </summary>
      <${Facts} values=${span.fields} />
      ${span.lines.length > 0 && html`<${Lines} lines=${span.lines}
        label=${`Log lines of ${span.service}`} />`}
      </details></li>`)}</ol>`;
}
