// The picture of the architecture with live values. A click on a node opens its resource's page.
import { Loaded, Problem, Table, ago, html, isDeadLetter, link, milliseconds, useData, useEffect,
  useMemo, useRef, useTask } from "../ui.js";
import { useRequests } from "./feed.js";

const SVG = "http://www.w3.org/2000/svg";
const MINUTE = 60_000;

export function MapView({ status }) {
  const values = useData("map", status.isLocal ? 6 : 60);
  const { items } = useRequests();
  const routes = useMemo(() => count(items, (item) => `${item.method || "WS"} ${item.route}`),
    [items, values.data]);
  const functions = useMemo(() => addRequests(values.data, items), [items, values.data]);
  return html`<${Problem} text=${values.data && values.problem} />
    <${Picture} values=${values.data && { ...values.data, functions }} />
    <${Loaded} state=${values}>${values.data && html`<div class="columns">
      <section><h2>Routes in the last minute</h2>${routes.length === 0
        ? html`<p class="quiet empty">No requests in the last minute.</p>`
        : html`<${Table} label="Routes" rows=${routes} columns=${{
          Route: (row) => html`<a href="#/requests">${row.name}</a>`, Requests: "requests",
          Failed: (row) => html`<span class=${row.errors ? "chip bad" : ""}>${row.errors}</span>`,
          Slowest: (row) => milliseconds(row.slowest) }} />`}</section>
      <section><h2>Functions</h2><${Table} label="Functions"
        rows=${Object.entries(functions)} columns=${{
          Function: ([name]) => html`<a href=${link("functions", name)}>${name}</a>`,
          Invocations: ([, item]) => item.requests ?? 0,
          Errors: ([, item]) => html`<span class=${item.errors ? "chip bad" : ""}>
            ${item.errors ?? 0}</span>`,
          Throttled: ([, item]) => html`<span class=${item.throttles ? "chip warn" : ""}>
            ${item.throttles ?? 0}</span>`,
          "Average duration": ([, item]) => milliseconds(item.milliseconds) }} /></section>
      <section><h2>Alarms</h2>${values.data.alarms.length === 0
        ? html`<p class="done">No alarm is active.</p>`
        : html`<ul class="plain">${values.data.alarms.map((alarm) => html`<li class="problem">
          <b>${alarm.name}</b> ${alarm.reason}</li>`)}</ul>`}</section>
    </div>`}</${Loaded}>`;
}

// Counts the requests of the last minute, grouped by `name(request)`.
function count(items, name) {
  const rows = new Map();
  for (const item of items.filter((each) => each.time > Date.now() - MINUTE)) {
    const row = rows.get(name(item))
      ?? { name: name(item), requests: 0, errors: 0, slowest: 0, total: 0 };
    row.requests += 1;
    row.errors += item.failed ? 1 : 0;
    row.slowest = Math.max(row.slowest, item.duration ?? 0);
    row.total += item.duration ?? 0;
    row.milliseconds = row.total / row.requests;
    rows.set(row.name, row);
  }
  return [...rows.values()].sort((one, other) => other.requests - one.requests);
}

// The embedded AWS has no metrics of invocations by its APIs, so the requests in the logs are
// counted instead.
function addRequests(values, items) {
  const rows = { ...values?.functions };
  for (const row of count(items, (item) => item.service)) {
    if (rows[row.name] && !(rows[row.name].requests > row.requests)) {
      rows[row.name] = { ...rows[row.name], ...row };
    }
  }
  return rows;
}

function Picture({ values }) {
  const box = useRef();
  const { result: picture, problem, run } = useTask();
  useEffect(() => { run(loadPicture); }, [Boolean(values)]);
  useEffect(() => { if (picture) box.current.replaceChildren(picture); }, [picture]);
  useEffect(() => { if (picture && values) decorate(picture, values); }, [picture, values]);
  return html`<${Problem} text=${problem} />
    <div class="scroll map" ref=${box} tabindex="0" role="region" aria-label="Architecture"></div>`;
}

// XMLHttpRequest parses the picture as XML instead of HTML, so Trusted Types allow it.
const loadPicture = () => new Promise((resolve, reject) => {
  const request = new XMLHttpRequest();
  request.responseType = "document";
  request.onloadend = () => {
    const root = request.responseXML?.documentElement;
    if (request.status !== 200 || root?.localName !== "svg") {
      reject(new Error("The picture of the architecture could not be loaded."));
      return;
    }
    root.setAttribute("role", "group");
    resolve(document.adoptNode(root));
  };
  request.open("GET", "/api/map.svg");
  request.send();
});

// Writes the live values into the boxes of the picture, and makes each box a link.
function decorate(picture, values) {
  for (const [id, page] of Object.entries(values.pages)) {
    const node = picture.querySelector(`#diagram-${CSS.escape(id)}`);
    if (!node) continue;
    const name = page.split("/").at(-1);
    const [text, state] = page.startsWith("functions/") ? functionLabel(values.functions[name])
      : page.startsWith("messages/queues/") ? queueLabel(values.queues[name], name) : ["", ""];
    node.setAttribute("class", `node open ${state}`);
    node.setAttribute("role", "link");
    node.setAttribute("tabindex", "0");
    node.setAttribute("aria-label", `${node.querySelector("text").textContent} ${text}`.trim());
    node.onclick = () => { location.hash = `#/${page}`; };
    node.onkeydown = (event) => { if (event.key === "Enter") node.onclick(); };
    let value = node.querySelector(".value");
    if (!value) {
      const box = node.querySelector("rect");
      value = document.createElementNS(SVG, "text");
      value.setAttribute("class", "value");
      value.setAttribute("text-anchor", "end");
      value.setAttribute("x", Number(box.getAttribute("x")) + Number(box.getAttribute("width")) - 8);
      value.setAttribute("y", node.querySelector("text").getAttribute("y"));
      node.append(value);
    }
    value.textContent = text;
  }
}

function functionLabel(item) {
  if (!item?.requests) return ["", ""];
  const parts = [`${item.requests}/min`, milliseconds(item.milliseconds)];
  if (item.throttles) parts.unshift(`${item.throttles} throttled`);
  if (item.errors) parts.unshift(`${item.errors} failed`);
  return [parts.join(" · "), item.errors ? "bad" : item.throttles ? "warn" : "good"];
}

function queueLabel(item, name) {
  const count = (item?.visible ?? 0) + (item?.inFlight ?? 0);
  if (!count) return ["", ""];
  const age = item.oldest ? ` · ${ago(item.oldest)}` : "";
  return [`${count}${age}`, isDeadLetter(name) ? "bad" : "good"];
}
