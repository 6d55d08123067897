(() => {
  "use strict";
  const changes = [...document.querySelectorAll("details.change")];
  const form = document.querySelector("form.filters");
  const open = (target) => {
    const change = target && target.closest && target.closest("details.change");
    if (!change) return;
    if (change.hidden) form.reset(), filter();
    change.open = true;
    change.querySelector("summary").focus({ preventScroll: true });
    change.scrollIntoView({ block: "start" });
  };
  const filter = () => {
    const chosen = (name) => new Set([...form.querySelectorAll(`input[name=${name}]:checked`)].map((box) => box.value));
    const verdicts = chosen("verdict"), actions = chosen("action");
    const service = form.elements.service.value, text = form.elements.text.value.trim().toLowerCase();
    let shown = 0;
    for (const change of changes) {
      const data = change.dataset;
      change.hidden = !(verdicts.has(data.verdict) && actions.has(data.action) && (!service || data.service === service) && data.text.includes(text));
      shown += change.hidden ? 0 : 1;
    }
    for (const group of document.querySelectorAll("section.group")) group.hidden = !group.querySelector("details.change:not([hidden])");
    document.getElementById("shown").textContent = shown === changes.length ? `${shown} change${shown === 1 ? "" : "s"}` : `${shown} of ${changes.length} changes`;
  };
  if (form) {
    form.addEventListener("input", filter);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", () => setTimeout(filter));
    const all = (state) => changes.forEach((change) => { if (!change.hidden) change.open = state; });
    document.getElementById("open-all").addEventListener("click", () => all(true));
    document.getElementById("close-all").addEventListener("click", () => all(false));
  }
  const follow = () => { const id = decodeURIComponent(location.hash.slice(1)); if (id) open(document.getElementById(id)); };
  addEventListener("hashchange", follow);
  follow();
  let closed = [];
  addEventListener("beforeprint", () => {
    const found = [...document.querySelectorAll("details:not([open])")];
    found.forEach((item) => { item.open = true; });
    closed.push(...found);
  });
  addEventListener("afterprint", () => { closed.forEach((item) => { item.open = false; }); closed = []; });
})();
