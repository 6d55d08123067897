// Compiled by test_descriptions.py: the types accept valid calls, and reject invalid ones.
import type { paths } from "./openapi";

type Create = paths["/v1/posts"]["post"];
type Body = NonNullable<Create["requestBody"]>["content"]["application/json"];
type Post = Create["responses"][201]["content"]["application/json"];
type Refusal = Create["responses"][403]["content"]["application/problem+json"];

export const body: Body = { content: "Hello", tags: ["news"] };
export const path: paths["/v1/posts/{postId}"]["get"]["parameters"]["path"] = { postId: "a" };
export const query: paths["/v1/posts"]["get"]["parameters"]["query"] = { limit: 20, tag: "news" };
export const describe = (post: Post): string => `${post.authorName}: ${post.likesCount + 1}`;
export const code = (refusal: Refusal): "anonymous_not_allowed" | "forbidden" | string =>
  refusal.code;

// @ts-expect-error content is required
export const empty: Body = { tags: [] };
// @ts-expect-error unknown fields are rejected
export const unknown: Body = { content: "Hello", text: "Hello" };
// @ts-expect-error a post has no field `likes`
export const likes = (post: Post): number => post.likes;
