// Functions: traffic, versions, configuration, permissions, logs, invocations.
import { Facts, Json, Lines, Loaded, Problem, Table, change, follow, html, link, milliseconds, ago,
  useData, useEffect, useState, useTask } from "../ui.js";

export function FunctionsView({ path, status }) {
  return path[0] ? html`<${Detail} key=${path[0]} service=${path[0]} status=${status} />`
    : html`<${List} />`;
}

const traffic = (item) => {
  const others = Object.entries(item.weights);
  const rest = 1 - others.reduce((sum, [, weight]) => sum + weight, 0);
  return others.length === 0 ? `version ${item.version}`
    : [[item.version, rest], ...others].map(([version, weight]) =>
      `${Math.round(weight * 100)} % version ${version}`).join(", ");
};

function List() {
  const functions = useData("functions", 15);
  return html`<${Loaded} state=${functions}>
    ${functions.data && html`<${Table} label="Functions" rows=${functions.data} columns=${{
      Function: (item) => html`<a href=${link("functions", item.service)}>${item.service}</a>`,
      "Live traffic": traffic,
      Memory: (item) => `${item.memory} MB`,
      Timeout: (item) => `${item.timeout} s`,
      Runtime: "runtime",
      Deployed: (item) => ago(item.modified),
    }} />`}</${Loaded}>`;
}

function Detail({ service, status }) {
  const state = useData(`functions/${service}`, 15);
  const item = state.data;
  return html`<p><a href="#/functions">← All functions</a></p>
    <${Loaded} state=${state}>${item && html`
      <h2>${service} <small class="quiet">${item.name}</small></h2>
      <p>Live traffic: ${traffic(item)}</p>
      <${Invoke} service=${service} status=${status} />
      <${Logs} service=${service} />
      <section><h3>Versions</h3><${Table} label="Versions" rows=${item.versions} columns=${{
        Version: "number",
        Published: (version) => ago(version.modified),
        "Released by": (version) => version.release?.who,
        Commit: (version) => version.release?.commit,
        Outcome: (version) => version.release && `${version.release.kind}, `
          + version.release.outcome,
      }} /></section>
      <section><h3>Permissions</h3>
        <ul class="plain">${item.permissions.map((line) => html`<li>${line}</li>`)}</ul></section>
      <section><h3>Configuration</h3><${Facts} values=${item.configuration} />
        <h4>Environment variables</h4><${Facts} values=${item.environment} /></section>`}
    </${Loaded}>`;
}

function Logs({ service }) {
  const [lines, setLines] = useState([]);
  const [problem, setProblem] = useState("");
  useEffect(() => follow(`lines?services=${encodeURIComponent(service)}`, Date.now() - 600_000,
    (added) => added.length && setLines((old) => [...old, ...added].slice(-300)), setProblem),
  [service]);
  return html`<section><h3>Live logs, from the last 10 minutes</h3><${Problem} text=${problem} />
    ${lines.length ? html`<${Lines} lines=${lines} label=${`Logs of ${service}`} />`
      : html`<p class="quiet empty">No log lines yet.</p>`}</section>`;
}

function Invoke({ service, status }) {
  const examples = useData(`functions/${service}/examples`);
  const [event, setEvent] = useState("");
  const task = useTask();
  const choose = (name) => setEvent(JSON.stringify(
    examples.data.find((item) => item.name === name)?.event ?? {}, null, 2));
  useEffect(() => { if (examples.data?.length) choose(examples.data[0].name); }, [examples.data]);
  const submit = (submitted) => {
    submitted.preventDefault();
    task.run(async () => change("invoke", { service, event: JSON.parse(event) }));
  };
  const { result } = task;
  return html`<section><h3>Invoke</h3>
    <form onSubmit=${submit}>
      <div class="row"><label>Example <select onChange=${(chosen) => choose(chosen.target.value)}>
        ${examples.data?.map((item) => html`<option value=${item.name}>
          ${item.kind}: ${item.name}</option>`)}</select></label></div>
      <label>Event <textarea rows="8" spellcheck="false" value=${event}
        onInput=${(typed) => setEvent(typed.target.value)}></textarea></label>
      <button class="primary" disabled=${task.isRunning || !event || !status.mayWrite}>
        ${task.isRunning ? "Running…" : "Invoke"}</button>
    </form>
    <${Problem} text=${task.problem || examples.problem} />
    ${result && html`<div role="status"><p class=${result.error ? "problem" : ""}>
        ${result.error ?? "Succeeded"} in ${milliseconds(result.duration)},
        ${" "}version ${result.version}</p>
      <${Json} value=${result.result} label="Result" />
      <${Lines} lines=${result.lines} label="Log lines of the invocation" /></div>`}</section>`;
}
