// A program that uses the generated TypeScript types.

import createClient from "openapi-fetch";
import type { components, paths } from "./postline.js";

function assert(condition: unknown): asserts condition {
  if (!condition) throw new Error("an answer is not what was expected");
}

const baseUrl = process.argv[2];
const anyone = createClient<paths>({ baseUrl });
const { data: tokens } = await anyone.POST("/auth/signup", {
  body: { email: "typescript@example.com", password: "correct horse battery" },
});
assert(tokens);

const as = ({ access_token }: components["schemas"]["TokenPair"]) =>
  createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${access_token}` } });
let ada = as(tokens);

const { data: added } = await ada.POST("/posts", {
  params: { header: { "Idempotency-Key": "first" } },
  body: { text: "Hello, timeline! 👋" },
});
assert(added);
const path = { postID: added.postID };

const { data: posts, response: listed } = await ada.GET("/posts");
assert(posts && posts.length === 1 && posts[0].postID === added.postID && posts[0].text === "Hello, timeline! 👋");
const unchanged = await ada.GET("/posts", {
  params: { header: { "If-None-Match": listed.headers.get("ETag") ?? undefined } },
});
assert(unchanged.response.status === 304);

const edit = { params: { path, header: { "If-Match": '"1"' } }, body: { text: "Hello again, timeline!" } };
const { data: updated } = await ada.PATCH("/posts/{postID}", edit);
assert(updated && updated.version === 2 && updated.text === "Hello again, timeline!");
const { error: late } = await ada.PATCH("/posts/{postID}", edit);
assert(late && late.status === 412);

const { response: deleted } = await ada.DELETE("/posts/{postID}", { params: { path } });
assert(deleted.status === 204);
const { error: gone } = await ada.GET("/posts/{postID}", { params: { path } });
assert(gone && gone.status === 404);

const { data: renewed } = await anyone.POST("/auth/refresh", { body: { refresh_token: tokens.refresh_token } });
assert(renewed);
ada = as(renewed);
const { response: ended } = await ada.POST("/auth/logout");
assert(ended.status === 204);
const { error: refused } = await ada.GET("/posts");
assert(refused && refused.status === 401);
