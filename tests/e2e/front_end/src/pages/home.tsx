import { useState } from "react";
import { type Api, type Config, logIn } from "../api";

let name = "";

export function Home({ api, config }: { api: Api; config: Config }) {
  const [state, setState] = useState(name ? `Signed in as ${name}` : "Not signed in");

  async function submit(event: React.FormEvent<HTMLFormElement>): Promise<void> {
    event.preventDefault();
    const fields = new FormData(event.currentTarget);
    try {
      name = await logIn(api, String(fields.get("email")), String(fields.get("password")));
      setState(`Signed in as ${name}`);
    } catch (error) {
      setState((error as Error).message);
    }
  }

  return (
    <>
      <h1 className="banner">{config.environment}</h1>
      <p role="status">{state}</p>
      <form onSubmit={submit}>
        <label>
          Email <input name="email" type="email" autoComplete="username" />
        </label>
        <label>
          Password <input name="password" type="password" autoComplete="current-password" />
        </label>
        <button>Log in</button>
      </form>
    </>
  );
}
