// Reads config.json, which the deployment writes beside this page, and shows what /health says.

const INTERVAL_MS = 30_000;
const TIMEOUT_MS = 10_000;

const element = (id) => document.getElementById(id);

/** Asks /health once. Never throws: what went wrong is part of the answer. */
async function ask(url) {
  const begun = performance.now();
  try {
    const reply = await fetch(url, { cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) });
    const body = await reply.json();
    return { body, ok: reply.ok, milliseconds: Math.round(performance.now() - begun) };
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
  const { body, ok, failure, milliseconds } = await ask(config.healthUrl);
  button.disabled = false;
  if (failure) {
    showSummary("failed", `The platform does not answer (${failure}).`);
  } else {
    showSummary(ok ? "ok" : "failed", ok ? "Everything works." : "Something does not work.");
  }
  showChecks(body.checks ?? {});
  element("version").textContent = body.version ?? "unknown";
  const took = milliseconds === undefined ? "" : `, answered in ${milliseconds} ms`;
  element("asked").textContent = `Asked at ${new Date().toLocaleTimeString()}${took}`;
}

async function main() {
  const reply = await fetch("config.json", { cache: "no-store" });
  if (!reply.ok) {
    throw new Error(`config.json: ${reply.status}`);
  }
  const config = await reply.json();
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

main().catch((error) => showSummary("failed", `This page has not been deployed completely (${error.message}).`));
