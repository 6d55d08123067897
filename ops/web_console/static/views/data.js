// Data: DynamoDB tables, S3 buckets, PostgreSQL and the cache.
import { Json, Loaded, Problem, Table, Tabs, ago, bytes, call, html, link, query, useData, useState,
  useTask } from "../ui.js";

const TABS = { tables: "Tables", buckets: "Buckets", sql: "SQL", cache: "Cache" };

export function DataView({ path: [tab = "tables", ...path] }) {
  return html`<${Tabs} base="data" names=${TABS} current=${tab} />
    ${tab === "tables" && (path[0] ? html`<${Items} key=${path[0]} name=${path[0]} />`
      : html`<${TableList} />`)}
    ${tab === "buckets" && (path[0]
      ? html`<${Objects} key=${path.join("/")} bucket=${path[0]} prefix=${path[1] ?? ""} />`
      : html`<${BucketList} />`)}
    ${tab === "sql" && html`<${Sql} />`}
    ${tab === "cache" && html`<${Cache} />`}`;
}

function TableList() {
  const tables = useData("tables");
  return html`<${Loaded} state=${tables}>${tables.data && html`
    <${Table} label="Tables" rows=${tables.data} columns=${{
      Table: (item) => html`<a href=${link("data", "tables", item.key)}>${item.key}</a>`,
      Items: "items",
      Keys: (item) => item.keys.join(", "),
      Indexes: (item) => Object.keys(item.indexes).join(", ") || "none",
      "TTL attribute": "ttl",
    }} />`}</${Loaded}>`;
}

function Items({ name }) {
  const [submitted, setSubmitted] = useState({});
  const [form, setForm] = useState({ index: "", hash_value: "", range_value: "" });
  const state = useData(`tables/${name}?${query(submitted)}`, 10);
  const table = state.data;
  const set = (field) => (event) => setForm({ ...form, [field]: event.target.value });
  const keys = (form.index ? table?.indexes[form.index] : table?.keys) ?? ["key"];
  return html`<p><a href="#/data/tables">← All tables</a></p><h2>${name}</h2>
    <form class="row" onSubmit=${(event) => { event.preventDefault(); setSubmitted(form); }}>
      <label>Index <select value=${form.index} onChange=${set("index")}>
        <option value="">none</option>
        ${Object.keys(table?.indexes ?? {}).map((index) => html`<option>${index}</option>`)}
      </select></label>
      <label>${keys[0]} <input value=${form.hash_value} onInput=${set("hash_value")} /></label>
      ${keys[1] && html`<label>${keys[1]} <input value=${form.range_value}
        onInput=${set("range_value")} /></label>`}
      <button class="primary">${form.hash_value ? "Query" : "Scan"}</button>
    </form>
    <${Loaded} state=${state}>${table && html`<p class="quiet" role="status">
        ${table.rows.length} items${table.isComplete ? "" : ", and there are more"}</p>
      <ol class="items">${table.rows.map((row) => html`<li><details><summary>
        ${table.keys.map((key) => html`<code>${String(row[key])}</code> `)}
        ${table.ttl && row[table.ttl] && html`<span class="quiet">expires
          ${" "}${ago(row[table.ttl] * 1000)}, ${new Date(row[table.ttl] * 1000).toISOString()}
          </span>`}
        <span class="quiet brief">${brief(row, table.keys)}</span></summary>
        <${Json} value=${row} label="Item" /></details></li>`)}</ol>`}</${Loaded}>`;
}

const brief = (row, keys) => Object.entries(row)
  .filter(([name, value]) => !keys.includes(name) && typeof value !== "object")
  .map(([name, value]) => `${name}: ${value}`).join(" · ");

function BucketList() {
  const buckets = useData("buckets");
  return html`<${Loaded} state=${buckets}>${buckets.data && html`
    <${Table} label="Buckets" rows=${Object.entries(buckets.data)} columns=${{
      Bucket: ([key]) => html`<a href=${link("data", "buckets", key)}>${key}</a>`,
      Name: ([, name]) => name,
    }} />`}</${Loaded}>`;
}

function Objects({ bucket, prefix }) {
  const [after, setAfter] = useState("");
  const [shown, setShown] = useState("");
  const state = useData(`buckets/${bucket}?${query({ prefix, after })}`);
  const file = (kind, key) => `/api/buckets/${bucket}/${kind}?${query({ key })}`;
  return html`<p><a href="#/data/buckets">← All buckets</a></p>
    <h2>${bucket} <small class="quiet">${prefix}</small></h2>
    ${shown && html`<img class="preview" src=${file("preview", shown)} alt=${`Preview of ${shown}`}
      />`}
    <${Loaded} state=${state}>${state.data && html`
      <ul class="plain">${state.data.folders.map((folder) => html`<li>
        <a href=${link("data", "buckets", bucket, folder)}>${folder}</a></li>`)}</ul>
      ${state.data.objects.length + state.data.folders.length === 0
        ? html`<p class="quiet empty">There are no objects here.</p>`
        : html`<${Table} label="Objects" rows=${state.data.objects} columns=${{
          Object: (item) => html`<a href=${file("download", item.key)}>${item.key}</a>`,
          Size: (item) => bytes(item.size),
          Modified: (item) => ago(item.modified),
          Preview: (item) => html`<button type="button" onClick=${() => setShown(item.key)}
            aria-label=${`Preview ${item.key}`}>Show</button>`,
        }} />`}
      ${state.data.next && html`<button type="button" onClick=${() => setAfter(state.data.next)}>
        Next objects</button>`}`}</${Loaded}>`;
}

function Sql() {
  const relations = useData("sql");
  const [sql, setSql] = useState("SELECT * FROM catalog.categories");
  const task = useTask();
  const run = (event) => {
    event?.preventDefault();
    task.run(() => call("sql", { sql }));
  };
  return html`<form onSubmit=${run}>
      <label>SQL (read-only transaction, at most 200 rows and 5 seconds)
        <textarea rows="4" spellcheck="false" value=${sql}
          onInput=${(event) => setSql(event.target.value)}
          onKeyDown=${(event) => event.key === "Enter" && (event.ctrlKey || event.metaKey) && run()}
        ></textarea></label>
      <button class="primary" disabled=${task.isRunning}>Run</button>
      <span class="quiet"> or press Ctrl+Enter</span></form>
    <${Problem} text=${task.problem} />
    ${task.result && html`<p class="quiet" role="status">${task.result.rows.length} rows
        ${task.result.isComplete ? "" : ", and there are more"}</p>
      <${Table} label="Result" rows=${task.result.rows} columns=${Object.fromEntries(
        task.result.columns.map((name) => [name, name]))} />`}
    <h2>Tables</h2><${Loaded} state=${relations}>${relations.data && html`
      <${Table} label="Tables of the database" rows=${relations.data} columns=${{
        Table: (item) => html`<button type="button" class="link" onClick=${() =>
          setSql(`SELECT * FROM ${item.schema}.${item.name}`)}>${item.schema}.${item.name}</button>`,
        Rows: (item) => item.rows < 0 ? "not counted" : item.rows,
        Columns: (item) => item.columns.join(", "),
      }} />`}</${Loaded}>`;
}

function Cache() {
  const [pattern, setPattern] = useState("*");
  const state = useData(`cache?${query({ pattern })}`, 5);
  return html`<form class="row" onSubmit=${(event) => event.preventDefault()}>
      <label>Pattern <input value=${pattern} onChange=${(event) => setPattern(event.target.value)}
        /></label></form>
    <${Loaded} state=${state}>${state.data && html`<p class="quiet" role="status">
        ${state.data.keys.length} keys${state.data.isComplete ? "" : ", and there are more"}</p>
      <${Table} label="Keys" rows=${state.data.keys} columns=${{
        Key: (item) => html`<code>${item.key}</code>`,
        Type: "type",
        "Expires in": (item) => item.seconds === null ? "never" : `${item.seconds} s`,
      }} />`}</${Loaded}>`;
}
