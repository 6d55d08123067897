// Changes: releases with rollback, the review of a plan, drift, and cost.
import { Ago, Loaded, Problem, Table, Tabs, ago, call, change, html, useData, useTask }
  from "../ui.js";

const TABS = { releases: "Releases", review: "Review", drift: "Drift", cost: "Cost" };

export function ChangesView({ path: [tab = "releases"], status }) {
  return html`<${Tabs} base="changes" names=${TABS} current=${tab} />
    ${tab === "releases" ? html`<${Releases} status=${status} />`
      : html`<${Report} key=${tab} name=${tab} />`}`;
}

function Releases({ status }) {
  const releases = useData("releases", 15);
  const task = useTask();
  const rollBack = (item) => task.run(async () => {
    await change("rollback", { service: item.service, to: item.from_version });
    releases.reload();
    return `Rolled ${item.service} back to version ${item.from_version}`;
  });
  return html`<${Problem} text=${task.problem} />
    ${task.result && html`<p class="done" role="status">${task.result}</p>`}
    <${Loaded} state=${releases} empty="No releases yet.">${releases.data && html`
      <${Table} label="Releases" rows=${releases.data} columns=${{
        Function: "service",
        Time: (item) => ago(item.released_at),
        Kind: "kind",
        Versions: (item) => `${item.from_version || "none"} → ${item.to_version}`,
        Outcome: (item) => item.reason ? `${item.outcome}: ${item.reason}` : item.outcome,
        Operator: "who",
        Commit: "commit",
        Action: (item) => item.from_version && item.from_version !== item.to_version && status.mayWrite
          ? html`<button type="button" onClick=${() => rollBack(item)} disabled=${task.isRunning}
            aria-label=${`Roll ${item.service} back to version ${item.from_version}`}>Roll back</button>`
          : html`<span></span>`,
      }} />`}</${Loaded}>`;
}

const DESCRIPTIONS = {
  review: "Plans the stack and reviews each change. Takes about 10 s for the platform on this "
    + "machine, and minutes on AWS.",
  drift: "Compares the resources with Terraform's state.",
  cost: "Estimates the monthly cost on AWS for a million requests per month.",
};

function Report({ name }) {
  const state = useData(`reports/${name}`, 5);
  const task = useTask();
  const run = () => task.run(async () => { await call("reports", { name }); state.reload(); });
  const isRunning = task.isRunning || state.data?.isRunning;
  const { value, time } = state.data ?? {};
  return html`<p>${DESCRIPTIONS[name]}</p>
    <div class="row"><button type="button" class="primary" disabled=${isRunning} onClick=${run}>
      ${isRunning ? "Running…" : time ? "Run again" : "Run"}</button>
      ${time && html`<span class="quiet">last run <${Ago} time=${time * 1000} /></span>`}</div>
    <${Problem} text=${task.problem || state.problem} />
    ${time && name === "review" && html`<iframe key=${time} class="report" sandbox="allow-scripts"
      src="/api/review.html" title="Review of the plan"></iframe>`}
    ${time && name === "drift" && (value.length === 0 ? html`<p class="done">No drift.</p>`
      : html`<${Table} label="Drift" rows=${value} columns=${{ Kind: "kind", Resource: "address",
        Attributes: (item) => item.attributes.join(", ") }} />`)}
    ${time && name === "cost" && html`<p><b>${dollars(value.usd)}</b> per month, including
        ${" "}${dollars(value.fixedUsd)} of fixed costs</p>
      <${Table} label="Cost by service" rows=${Object.entries(value.services)
        .sort(([, one], [, other]) => other.usd - one.usd)} columns=${{
        Service: ([service]) => service,
        Cost: ([, cost]) => dollars(cost.usd),
        Share: ([, cost]) => html`<meter min="0" max=${value.usd} value=${cost.usd}
          aria-label="Share of the cost"></meter>`,
        Fixed: ([, cost]) => dollars(cost.fixedUsd),
        "Usage-based": ([, cost]) => dollars(cost.usedUsd),
      }} />`}`;
}

const dollars = (amount) => `$${amount.toFixed(2)}`;
