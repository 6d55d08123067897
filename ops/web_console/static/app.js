// The layout of the console: navigation, the state of the platform, and the current view.
import { Component, Confirm, Problem, html, render, useData, useEffect, useState } from "./ui.js";
import { ChangesView } from "./views/changes.js";
import { DataView } from "./views/data.js";
import { FunctionsView } from "./views/functions.js";
import { MapView } from "./views/map.js";
import { MessagesView } from "./views/messages.js";
import { RequestsView } from "./views/requests.js";

const VIEWS = {
  map: ["Map", MapView],
  requests: ["Requests", RequestsView],
  functions: ["Functions", FunctionsView],
  data: ["Data", DataView],
  messages: ["Messages", MessagesView],
  changes: ["Changes", ChangesView],
};

// The token is in a cookie now, so it is removed from the address and the history.
history.replaceState(null, "", `/${location.hash || "#/map"}`);

const currentPath = () => location.hash.slice(2).split("/").map(decodeURIComponent);

// Shows the error of a view instead of an empty page. The other views stay usable.
class Boundary extends Component {
  componentDidCatch(error) { this.setState({ error, path: location.hash }); }

  render({ children }, { error, path }) {
    return error && path === location.hash
      ? html`<${Problem} text=${`This view failed: ${error.message}. Reload the page.`} />`
      : children;
  }
}

function App() {
  const [path, setPath] = useState(currentPath());
  const status = useData("status", 3);
  useEffect(() => {
    const onHashChange = () => {
      setPath(currentPath());
      document.querySelector("main").focus();
    };
    addEventListener("hashchange", onHashChange);
    return () => removeEventListener("hashchange", onHashChange);
  }, []);
  useEffect(() => {
    const onKeyDown = (event) => {
      const name = Object.keys(VIEWS)[Number(event.key) - 1];
      if (name && !event.target.closest("input, textarea, select") && !event.ctrlKey
        && !event.metaKey && !event.altKey) location.hash = `#/${name}`;
    };
    addEventListener("keydown", onKeyDown);
    return () => removeEventListener("keydown", onKeyDown);
  }, []);
  const [title, View] = VIEWS[path[0]] ?? VIEWS.map;
  const { data = {}, problem } = status;
  useEffect(() => { document.title = `${title} · ${data.environment ?? "console"}`; },
    [title, data.environment]);
  return html`
    <header>
      <a class="skip" href=${location.hash} onClick=${(event) => {
        event.preventDefault(); document.querySelector("main").focus(); }}>Skip to content</a>
      <p class="brand"><img src="/icon.svg" alt="" width="24" height="24" />
        <span>${data.environment ?? "…"}</span>
        ${data.region && html`<span class="badge">${data.region}</span>
          ${!data.mayWrite && html`<span class="badge">read-only</span>`}`}</p>
      <nav aria-label="Views">${Object.entries(VIEWS).map(([key, [name]], number) => html`
        <a href=${`#/${key}`} title=${`Keyboard shortcut: ${number + 1}`}
          aria-current=${VIEWS[key][1] === View ? "page" : null}>${name}</a>`)}</nav>
      <p class="parts">${data.parts?.map((part) => html`
        <span class=${part.running && !problem ? "part" : "part bad"}>
          ${part.name}${problem ? ": unknown" : part.running ? "" : " is not running"}</span>`)}</p>
    </header>
    <main tabindex="-1">
      <${Problem} text=${problem || data.problem} />
      <h1>${title}</h1>
      <${Boundary} key=${path[0]}>
        <${View} path=${path.slice(1)} status=${data} />
      </${Boundary}>
    </main>
    <${Confirm} />`;
}

render(html`<${App} />`, document.body);
