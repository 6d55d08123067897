// Reads config.json, which the deployment publishes next to this page, and shows the result of
// /health.

const INTERVAL_MS = 30_000;
const TIMEOUT_MS = 10_000;

const element = (id) => document.getElementById(id);

/** Calls /health once. Does not throw: if the call fails, the result contains the reason. */
async function checkHealth(url) {
  const start = performance.now();
  try {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const response = await fetch(url, { cache: "no-store", signal });
    const body = await response.json();
    return { body, ok: response.ok, milliseconds: Math.round(performance.now() - start) };
  } catch (error) {
    return { body: {}, ok: false, failure: error.message };
  }
}

function showSummary(state, text) {
  const summary = element("summary");
  summary.dataset.state = state;
  if (summary.textContent !== text) {
    summary.textContent = text;
  }
}

function showChecks(checks) {
  element("checks").replaceChildren(
    ...Object.entries(checks).map(([name, result]) => {
      const item = document.createElement("li");
      const outcome = document.createElement("strong");
      item.dataset.state = result === "ok" ? "ok" : "failed";
      outcome.textContent = String(result);
      item.append(`${name} `, outcome);
      return item;
    }),
  );
}

async function refresh(config) {
  const button = element("refresh");
  button.disabled = true;
  const { body, ok, failure, milliseconds } = await checkHealth(config.healthUrl);
  button.disabled = false;
  if (failure) {
    showSummary("failed", `The platform does not respond (${failure}).`);
  } else {
    showSummary(ok ? "ok" : "failed", ok ? "All checks passed." : "Some checks failed.");
  }
  showChecks(body.checks ?? {});
  element("version").textContent = body.version ?? "unknown";
  const took = milliseconds === undefined ? "" : `, responded in ${milliseconds} ms`;
  element("checked").textContent = `Checked at ${new Date().toLocaleTimeString()}${took}`;
}

async function main() {
  const response = await fetch("config.json", { cache: "no-store" });
  if (!response.ok) {
    throw new Error(`config.json: ${response.status}`);
  }
  const config = await response.json();
  document.title = `${config.environment} – ${document.title}`;
  element("environment").textContent = config.environment;
  element("api").textContent = config.apiUrl;
  element("ws").textContent = config.wsUrl;
  const link = element("health-link");
  link.href = link.textContent = config.healthUrl;
  element("refresh").addEventListener("click", () => refresh(config));
  await refresh(config);
  setInterval(() => document.hidden || refresh(config), INTERVAL_MS);
}

main().catch((error) => {
  const problem = `This page could not be loaded completely (${error.message})`;
  showSummary("failed", `${problem}: reload it or publish it again.`);
});
