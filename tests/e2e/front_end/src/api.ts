// The typed client of the REST API. `npm --prefix tools/api run types` writes openapi.d.ts.

import createClient, { type Client } from "openapi-fetch";
import type { paths } from "./openapi";

export interface Config {
  environment: string;
  apiUrl: string;
  wsUrl: string;
}

export type Api = Client<paths>;

let accessToken = "";

export async function loadConfig(): Promise<Config> {
  const response = await fetch("/config.json", { cache: "no-store" });
  return response.json();
}

export function createApi(config: Config): Api {
  const api = createClient<paths>({ baseUrl: config.apiUrl });
  api.use({
    onRequest({ request }) {
      if (accessToken) {
        request.headers.set("Authorization", `Bearer ${accessToken}`);
      }
      return request;
    },
  });
  return api;
}

export async function logIn(api: Api, email: string, password: string): Promise<string> {
  const { data, error } = await api.POST("/v1/auth/login", { body: { email, password } });
  if (!data) {
    throw new Error(error.detail);
  }
  accessToken = data.accessToken;
  return data.user.displayName;
}
