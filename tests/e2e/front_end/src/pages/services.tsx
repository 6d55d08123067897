import { useState } from "react";
import type { Api, Config } from "../api";

interface Row {
  call: string;
  status: number;
  code: string;
  correlationId: string | null;
  etag: string | null;
}

/** Calls one route of each service, and routes whose errors come from API Gateway itself. */
async function callAll(api: Api, config: Config): Promise<Row[]> {
  const rows: Row[] = [];
  const add = (call: string, response: Response, error?: { code?: string }) =>
    rows.push({
      call,
      status: response.status,
      code: error?.code ?? "",
      correlationId: response.headers.get("X-Correlation-Id"),
      etag: response.headers.get("ETag"),
    });

  const health = await api.GET("/health");
  add("GET /health", health.response);
  const me = await api.GET("/v1/auth/me");
  add("GET /v1/auth/me", me.response, me.error);
  const profile = await api.GET("/v1/profile");
  add("GET /v1/profile", profile.response, profile.error);
  const stale = await api.PATCH("/v1/profile", {
    params: { header: { "If-Match": '"999999"' } },
    body: { bio: "From a browser" },
  });
  add("PATCH /v1/profile", stale.response, stale.error);
  const rooms = await api.GET("/v1/chat/rooms");
  add("GET /v1/chat/rooms", rooms.response, rooms.error);
  const post = await api.POST("/v1/posts", {
    params: { header: { "Idempotency-Key": crypto.randomUUID(), "X-Correlation-Id": "from-a-page" } },
    body: { content: "From a browser" },
  });
  add("POST /v1/posts", post.response, post.error);
  const liked = await api.PUT("/v1/posts/{postId}/like", {
    params: { path: { postId: post.data!.postId } },
  });
  add("PUT /v1/posts/{postId}/like", liked.response, liked.error);
  const removed = await api.DELETE("/v1/posts/{postId}", {
    params: { path: { postId: post.data!.postId } },
  });
  add("DELETE /v1/posts/{postId}", removed.response, removed.error);
  const listings = await api.GET("/v1/catalog/listings", { params: { query: { limit: 1 } } });
  add("GET /v1/catalog/listings", listings.response, listings.error);
  const conversations = await api.GET("/v1/ai/conversations");
  add("GET /v1/ai/conversations", conversations.response, conversations.error);

  // Responses of API Gateway: the authorizer rejects the token, and no route has the path.
  for (const [path, headers] of [
    ["/v1/profile", { Authorization: "Bearer invalid" }],
    ["/nothing", {}],
  ] as const) {
    const response = await fetch(config.apiUrl + path, { headers });
    add(`GET ${path} of the gateway`, response, await response.json());
  }
  return rows;
}

export default function Services({ api, config }: { api: Api; config: Config }) {
  const [rows, setRows] = useState<Row[]>([]);
  const [failure, setFailure] = useState("");
  const call = () => callAll(api, config).then(setRows, (error: Error) => setFailure(error.message));
  return (
    <>
      <h1>Services</h1>
      <button onClick={call}>Call every service</button>
      <p role="alert">{failure}</p>
      <ul id="calls">
        {rows.map((row) => (
          <li key={row.call} data-row={JSON.stringify(row)}>
            {row.call}: {row.status} {row.code}
          </li>
        ))}
      </ul>
    </>
  );
}
