import "@fontsource/press-start-2p/latin-400.css";
import "./style.css";
import { lazy, StrictMode, Suspense, useEffect, useState } from "react";
import { createRoot } from "react-dom/client";
import { createApi, loadConfig } from "./api";
import { Home } from "./pages/home";

const Services = lazy(() => import("./pages/services"));
const Pictures = lazy(() => import("./pages/pictures"));
const Chat = lazy(() => import("./pages/chat"));

const config = await loadConfig();
const api = createApi(config);

function navigate(event: React.MouseEvent<HTMLAnchorElement>): void {
  event.preventDefault();
  history.pushState(null, "", event.currentTarget.href);
  dispatchEvent(new PopStateEvent("popstate"));
}

function Page({ path }: { path: string }) {
  const [, page, id] = path.split("/");
  switch (page) {
    case "":
      return <Home api={api} config={config} />;
    case "services":
      return <Services api={api} config={config} />;
    case "pictures":
      return <Pictures api={api} />;
    case "rooms":
      return <Chat api={api} config={config} roomId={id} />;
    default:
      return <h1>There is no page {path}</h1>;
  }
}

function App() {
  const [path, setPath] = useState(location.pathname);
  useEffect(() => {
    const follow = () => setPath(location.pathname);
    addEventListener("popstate", follow);
    return () => removeEventListener("popstate", follow);
  }, []);
  return (
    <>
      <nav aria-label="Pages">
        {["/", "/services", "/pictures"].map((href) => (
          <a key={href} href={href} onClick={navigate} aria-current={href === path ? "page" : undefined}>
            {href.slice(1) || "home"}
          </a>
        ))}
      </nav>
      <main>
        <Suspense fallback={<p>Loading…</p>}>
          <Page path={path} />
        </Suspense>
      </main>
    </>
  );
}

createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
