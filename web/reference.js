// Shows the API's description, and sends requests with the token of the visitor's session.

const REFRESH_BEFORE_S = 60;
const TOKEN_ROUTES = /\/v1\/auth\/(login|anonymous)$/;

const element = (id) => document.getElementById(id);
const state = element("session-state");
const credentials = element("credentials");
const confirmation = element("confirmation");

async function fetchJson(url, options) {
  const response = await fetch(url, options);
  if (!response.ok) {
    throw new Error(`${url}: ${response.status}`);
  }
  return response.json();
}

/**
 * The visitor's session. The tokens exist only in the page's memory, so closing or reloading the
 * page deletes them.
 */
class Session {
  #apiUrl;
  #onChange;
  #timer;
  #tokens = null;

  /** Calls `onChange` with a sentence about the session after each change. */
  constructor(apiUrl, onChange) {
    this.#apiUrl = apiUrl;
    this.#onChange = onChange;
  }

  get accessToken() {
    return this.#tokens?.accessToken;
  }

  async register(email, password) {
    const displayName = email.split("@")[0].slice(0, 50).padEnd(2, "_");
    await this.#post("/v1/auth/register", { email, password, displayName });
  }

  async confirm(email, code) {
    await this.#post("/v1/auth/confirm", { email, code });
  }

  async logIn(email, password) {
    this.adopt(await this.#post("/v1/auth/login", { email, password }));
  }

  async continueAnonymously() {
    this.adopt(await this.#post("/v1/auth/anonymous", {}));
  }

  async logOut() {
    try {
      await this.#post("/v1/auth/logout", {});
    } finally {
      this.#forget("You are logged out. Requests below carry no token.");
    }
  }

  /** Uses the tokens in a response of the routes `login` and `anonymous`. */
  adopt(tokens) {
    this.#tokens = tokens;
    clearTimeout(this.#timer);
    if (tokens.refreshToken) {
      const delay = Math.max(tokens.expiresIn - REFRESH_BEFORE_S, 1) * 1000;
      this.#timer = setTimeout(() => this.#refresh(), delay);
    }
    const name = tokens.user?.displayName ?? tokens.displayName;
    this.#onChange(`Logged in as ${name}. Requests below carry your token.`);
  }

  async #refresh() {
    try {
      const { refreshToken } = this.#tokens;
      const pair = await this.#post("/v1/auth/refresh", { refreshToken });
      this.adopt({ ...this.#tokens, ...pair });
    } catch {
      this.#forget("Your session has ended: log in again.");
    }
  }

  #forget(reason) {
    clearTimeout(this.#timer);
    this.#tokens = null;
    this.#onChange(reason);
  }

  async #post(path, body) {
    const headers = { "Content-Type": "application/json" };
    if (this.accessToken) {
      headers.Authorization = `Bearer ${this.accessToken}`;
    }
    const response = await fetch(this.#apiUrl + path, {
      method: "POST",
      headers,
      body: JSON.stringify(body),
    });
    const result = response.status === 204 ? {} : await response.json();
    if (!response.ok) {
      const fields = (result.errors ?? []).map((error) => `${error.field} ${error.message}`);
      throw new Error([result.detail ?? result.title, ...fields].join(" "));
    }
    return result;
  }
}

/** Hides parts of Swagger UI that this page replaces, and adapts others for screen readers. */
const adaptComponents = ({ React }) => ({
  wrapComponents: {
    // The page has its own heading and log-in form, and the API has only one server.
    InfoContainer: () => () => null,
    ServersContainer: () => () => null,
    AuthorizeBtnContainer: () => () => null,
    authorizeOperationBtn: () => () => null,
    // Replaces a link inside a button. The button already changes the address.
    DeepLink: () => ({ text }) => React.createElement("span", null, text),
    FilterContainer: (Filter) => (props) =>
      React.createElement("search", { "aria-label": "Routes" }, React.createElement(Filter, props)),
    TextArea: (TextArea) => (props) =>
      React.createElement(TextArea, { "aria-label": "Request body", ...props }),
    // Swagger UI shows the button before it has resolved the route's description. A click at that
    // moment fails with "Operation not found".
    execute: (Execute) => (props) =>
      props.operation.size ? React.createElement(Execute, props) : null,
  },
});

/** Applies Swagger UI's dark colors if the system uses dark ones. */
function followColorScheme() {
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const apply = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
  dark.addEventListener("change", apply);
  apply();
}

function showReference(config, description, session) {
  description.servers = [{ url: config.apiUrl, description: config.environment }];
  for (const operation of Object.values(description.paths).flatMap(Object.values)) {
    // Swagger UI reads an underscore in the address of a route as a space.
    operation.operationId = operation.operationId.replaceAll("_", "-");
  }
  window.SwaggerUIBundle({
    spec: description,
    domNode: element("reference"),
    deepLinking: true,
    docExpansion: "none",
    defaultModelsExpandDepth: 0,
    filter: true,
    tryItOutEnabled: true,
    validatorUrl: null,
    plugins: [adaptComponents],
    requestInterceptor: (request) => {
      if (session.accessToken && !request.headers.Authorization) {
        request.headers.Authorization = `Bearer ${session.accessToken}`;
      }
      return request;
    },
    responseInterceptor: (response) => {
      if (response.ok && TOKEN_ROUTES.test(new URL(response.url).pathname)) {
        session.adopt(JSON.parse(response.text));
      }
      return response;
    },
  });
}

/** Performs an action of a form, shows its error, and keeps the focus near the form. */
async function perform(form, action) {
  const focused = document.activeElement;
  const buttons = form.querySelectorAll("button");
  buttons.forEach((button) => (button.disabled = true));
  try {
    await action();
  } catch (error) {
    state.textContent = error.message;
    state.dataset.state = "failed";
  }
  buttons.forEach((button) => (button.disabled = false));
  if (!document.activeElement.checkVisibility() || document.activeElement === document.body) {
    (focused.checkVisibility() ? focused : element("session-heading")).focus();
  }
}

function show(text) {
  state.textContent = text;
  delete state.dataset.state;
}

async function main() {
  followColorScheme();
  const config = await fetchJson("config.json", { cache: "no-store" });
  document.title = `${config.environment} – ${document.title}`;
  const session = new Session(config.apiUrl, (text) => {
    show(text);
    credentials.hidden = Boolean(session.accessToken);
    element("signed-in").hidden = !session.accessToken;
  });
  const fields = credentials.elements;
  const actions = {
    login: () => session.logIn(fields.email.value, fields.password.value),
    anonymous: () => session.continueAnonymously(),
    register: async () => {
      await session.register(fields.email.value, fields.password.value);
      const local = config.environment === "local";
      const hint = local ? ` \`ops code ${fields.email.value}\` prints it.` : "";
      show(`A code was sent to ${fields.email.value}.${hint}`);
      credentials.hidden = true;
      confirmation.hidden = false;
      confirmation.elements.code.focus();
    },
  };
  credentials.addEventListener("submit", (event) => {
    event.preventDefault();
    perform(credentials, actions[event.submitter?.value ?? "login"]);
  });
  confirmation.addEventListener("submit", (event) => {
    event.preventDefault();
    perform(confirmation, async () => {
      await session.confirm(fields.email.value, confirmation.elements.code.value.trim());
      confirmation.hidden = true;
      credentials.hidden = false;
      await actions.login();
    });
  });
  element("logout").addEventListener("click", () =>
    perform(element("signed-in"), () => session.logOut()),
  );
  showReference(config, await fetchJson(element("description").href), session);
}

main().catch((error) => {
  state.textContent =
    `This page could not be loaded completely (${error.message}): reload it or publish it again.`;
  state.dataset.state = "failed";
});
