// Messages: queues, events of the bus, mails of Cognito, WebSocket connections.
import { Ago, Json, Loaded, Problem, Table, Tabs, ago, change, html, isDeadLetter, link, useData,
  useState, useTask } from "../ui.js";

const TABS = { queues: "Queues", events: "Events", mails: "Mails", connections: "Connections" };
const VIEWS = { events: Events, mails: Mails, connections: Connections };

export function MessagesView({ path: [tab = "queues", ...path], status }) {
  const View = VIEWS[tab];
  return html`<${Tabs} base="messages" names=${TABS} current=${tab} />
    ${tab === "queues" && (path[0] ? html`<${Queue} key=${path[0]} name=${path[0]}
      status=${status} />` : html`<${Queues} />`)}
    ${View && html`<${View} status=${status} />`}`;
}

function Queues() {
  const queues = useData("queues", 5);
  const bad = (item) => isDeadLetter(item.queue) && item.visible > 0;
  return html`<${Loaded} state=${queues}>${queues.data && html`
    <${Table} label="Queues" rows=${[...queues.data].sort((one, other) => bad(other) - bad(one))}
      columns=${{
        Queue: (item) => html`<a href=${link("messages", "queues", item.queue)}>${item.queue}</a>`,
        Kind: (item) => isDeadLetter(item.queue) ? "dead-letter queue" : "work queue",
        Available: (item) => html`<span class=${bad(item) ? "chip bad" : ""}>
          ${item.visible}</span>`,
        "In flight": "in_flight",
        Delayed: "delayed",
      }} />`}</${Loaded}>`;
}

function Queue({ name, status }) {
  const [isOpen, setOpen] = useState(isDeadLetter(name));
  const state = useData(isOpen ? `queues/${encodeURIComponent(name)}` : null);
  const task = useTask();
  const redrive = () => task.run(async () => {
    const [result] = await change("redrive", { queue: name });
    state.reload();
    return result;
  });
  return html`<p><a href="#/messages/queues">← All queues</a></p><h2>${name}</h2>
    ${!isOpen && html`<p>Reading the messages increases their receive count. After several receives,
      SQS moves a message to the dead-letter queue.</p>
      <button type="button" onClick=${() => setOpen(true)}>Read the messages</button>`}
    ${isOpen && html`<div class="row">
      <button type="button" onClick=${state.reload}>Refresh</button>
      ${isDeadLetter(name) && html`<button type="button" class="primary" onClick=${redrive}
        disabled=${task.isRunning || !status.mayWrite}>
        ${task.isRunning ? "Redriving…" : "Redrive"}</button>`}</div>`}
    <${Problem} text=${task.problem} />
    ${task.result && html`<p role="status" class="done">
      ${task.result.redriven} redriven, ${task.result.left} left</p>`}
    ${isOpen && html`<${Loaded} state=${state} empty="The queue is empty.">${state.data?.map(
      (message) => html`<article class="card"><h3>${message.id}
        <small class="quiet">sent <${Ago} time=${message.sent} />,
          ${" "}received ${message.receive_count} times</small></h3>
        <${Json} value=${message.body} label="Body" />
        ${Object.keys(message.attributes).length > 0 && html`
          <${Json} value=${message.attributes} label="Attributes" />`}</article>`)}</${Loaded}>`}`;
}

function Events({ status }) {
  const events = useData("events", 5);
  const [form, setForm] = useState(null);
  const task = useTask();
  const copy = (item) => setForm({ source: item.source, type: item.type,
    detail: JSON.stringify(item.detail, null, 2) });
  const submit = (event) => {
    event.preventDefault();
    task.run(async () => {
      const sent = await change("event", { ...form, detail: JSON.parse(form.detail) });
      events.reload();
      return sent;
    });
  };
  const set = (name) => (event) => setForm({ ...form, [name]: event.target.value });
  return html`${form && html`<form class="card" onSubmit=${submit}><h2>Send an event</h2>
      <div class="row"><label>Source <input value=${form.source} onInput=${set("source")} /></label>
      <label>Type <input value=${form.type} onInput=${set("type")} /></label></div>
      <label>Detail <textarea rows="8" spellcheck="false" value=${form.detail}
        onInput=${set("detail")}></textarea></label>
      <div class="row"><button class="primary" disabled=${task.isRunning || !status.mayWrite}>Send
        </button><button type="button" onClick=${() => setForm(null)}>Close</button></div>
      <${Problem} text=${task.problem} />
      ${task.result && html`<p class="done" role="status">Sent with id ${task.result.id}</p>`}</form>`}
    ${!form && html`<p><button type="button" onClick=${() => copy(events.data?.[0]
      ?? { source: "multitask.console", type: "example", detail: {} })}>Send an event</button></p>`}
    <${Loaded} state=${events} empty="No events yet. Register a user or write a post.">
      ${events.data?.map((item) => html`<details class="card"><summary><b>${item.type}</b>
        ${" "}<span class="quiet">${item.source}, <${Ago} time=${item.time * 1000} /></span>
        </summary><${Json} value=${item.detail} label="Detail" />
        <button type="button" onClick=${() => copy(item)}>Copy to a new event</button>
      </details>`)}</${Loaded}>`;
}

function Mails() {
  const mails = useData("mails", 3);
  return html`<${Loaded} state=${mails} empty="No mails yet. Register a user, and the
    mail with the verification code appears here.">${mails.data?.map((mail) => html`
      <article class="card">
      <h2>${mail.subject}</h2>
      <p class="quiet">to ${mail.to.join(", ")}, ${ago(mail.time)}</p>
      <p class="mail">${plain(mail.text)}</p></article>`)}</${Loaded}>`;
}

// Removes HTML tags, so that HTML mails are readable as text. Preact escapes the result.
const plain = (text) => text.replace(/<[^>]*>/g, " ").replace(/\s+/g, " ").trim();

function Connections() {
  const connections = useData("connections", 3);
  return html`<${Loaded} state=${connections} empty="No open WebSocket connections.">${connections.data
    && html`<${Table} label="Connections" rows=${connections.data} columns=${{
      Connection: (item) => html`<code>${item.connection}</code>`,
      User: "user",
      Rooms: (item) => item.rooms.join(", ") || "none",
      Idle: (item) => `${Math.max(item.idleSeconds, 0)} s`,
    }} />`}</${Loaded}>`;
}
