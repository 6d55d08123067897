(() => {
  "use strict";
  const changes = [...document.querySelectorAll("details.change")];
  const form = document.querySelector("form.filters");
  const open = (target) => {
    for (let item = target; item; item = item.parentElement)
      if (item.tagName === "DETAILS") item.open = true;
    const change = target && target.closest("details.change");
    if (!change) return;
    if (change.hidden) form.reset(), filter();
    change.querySelector("summary").focus({ preventScroll: true });
    change.scrollIntoView({ block: "start" });
  };
  const checked = (name) => {
    const boxes = form.querySelectorAll(`input[name=${name}]:checked`);
    return new Set([...boxes].map((box) => box.value));
  };
  const filter = () => {
    const verdicts = checked("verdict"), actions = checked("action");
    const service = form.elements.service.value;
    const text = form.elements.text.value.trim().toLowerCase();
    const matches = (data) =>
      verdicts.has(data.verdict) && actions.has(data.action) &&
      (!service || data.service === service) && data.text.includes(text);
    for (const change of changes) change.hidden = !matches(change.dataset);
    for (const group of document.querySelectorAll("section.group"))
      group.hidden = !group.querySelector("details.change:not([hidden])");
    const shown = changes.filter((change) => !change.hidden).length;
    const total = `${changes.length} change${changes.length === 1 ? "" : "s"}`;
    document.getElementById("shown").textContent =
      shown === changes.length ? total : `${shown} of ${total}`;
  };
  if (form) {
    form.hidden = false;
    form.addEventListener("input", filter);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", () => setTimeout(filter));
    const toggle = (state) =>
      changes.filter((change) => !change.hidden).forEach((change) => { change.open = state; });
    document.getElementById("open-all").addEventListener("click", () => toggle(true));
    document.getElementById("close-all").addEventListener("click", () => toggle(false));
  }
  const follow = () => {
    const id = decodeURIComponent(location.hash.slice(1));
    if (id) open(document.getElementById(id));
  };
  addEventListener("hashchange", follow);
  follow();
  for (const link of document.querySelectorAll(".links a")) {
    const ends = [...document.querySelectorAll(`[data-bundle="${link.dataset.bundle}"]`)];
    const light = (state) => ends.forEach((end) => end.classList.toggle("lit", state));
    for (const type of ["mouseenter", "focus"]) link.addEventListener(type, () => light(true));
    for (const type of ["mouseleave", "blur"]) link.addEventListener(type, () => light(false));
  }
  let opened = [];
  addEventListener("beforeprint", () => {
    // A printed page shows all details of the changes to decide about, and one row for each of the
    // other changes.
    const closed = [...document.querySelectorAll("details.decision:not([open])")];
    closed.forEach((item) => { item.open = true; });
    opened.push(...closed);
  });
  addEventListener("afterprint", () => {
    opened.forEach((item) => { item.open = false; });
    opened = [];
  });
})();
