"""Calls every route of the post function with a public and an anonymous post."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

from lambdas.common.storage.dynamodb import pack
from tests.e2e.scenarios.context import PNG, ScenarioContext
from tests.e2e.support.users import User

POSTS = "/v1/posts"


def run_scenario(context: ScenarioContext) -> Iterator[str]:
    ann, bob = context.get_user("Ann Example"), context.get_user("Bob Example")
    tag = f"tag-{uuid.uuid4().hex[:8]}"

    def call(
        method: str, path: str, body: object = None, *, user: User = ann, **options: Any
    ) -> Any:
        return context.call(user, method, POSTS + path, body, **options)

    def is_deleted(post_id: str) -> bool:
        key = pack({"post_id": post_id})
        return "Item" not in context.client("dynamodb").get_item(
            TableName="post-posts-local", Key=key
        )

    signed = call(
        "POST", "/uploads", {"contentType": "image/png", "contentLength": len(PNG)}, status=201
    )
    image = context.upload(signed)
    yield f"POST {POSTS}/uploads"
    key = uuid.uuid4().hex
    call("POST", "", {"content": ""}, status=422, key=key)
    body = {"content": "Hello", "title": "A title", "tags": [tag, "other"], "images": [image]}
    post = call("POST", "", body, status=201, key=key)
    assert call("POST", "", body, status=201, key=key) == post
    hidden = call("POST", "", {"content": "Hush", "isAnonymous": True}, status=201)
    yield f"POST {POSTS}"
    page = call("GET", "?limit=1", user=bob)
    call("GET", f"?limit=1&cursor={page['nextCursor']}", user=bob)
    for query in (f"?authorId={ann.user_id}", f"?tag={tag}"):
        assert post["postId"] in {item["postId"] for item in call("GET", query, user=bob)["items"]}
    yield f"GET {POSTS}"
    post_path = f"/{post['postId']}"
    call("GET", post_path, user=bob)
    yield f"GET {POSTS}/{{postId}}"
    call("PATCH", post_path, {"content": "Goodbye", "tags": [tag], "images": []})
    call("PATCH", f"/{hidden['postId']}", {"content": "Hush!"})
    yield f"PATCH {POSTS}/{{postId}}"
    call("PUT", f"{post_path}/like", status=204, user=bob)
    yield f"PUT {POSTS}/{{postId}}/like"
    call("DELETE", f"{post_path}/like", status=204, user=bob)
    yield f"DELETE {POSTS}/{{postId}}/like"
    comment = call("POST", f"{post_path}/comments", {"content": "First"}, status=201, user=bob)
    second_comment = {"content": "Second", "parentId": comment["commentId"], "isAnonymous": True}
    second = call("POST", f"{post_path}/comments", second_comment, status=201)
    yield f"POST {POSTS}/{{postId}}/comments"
    call("GET", f"{post_path}/comments")
    yield f"GET {POSTS}/{{postId}}/comments"
    call("PATCH", f"{post_path}/comments/{comment['commentId']}", {"content": "1st"}, user=bob)
    yield f"PATCH {POSTS}/{{postId}}/comments/{{commentId}}"
    call("DELETE", f"{post_path}/comments/{second['commentId']}", status=204)
    yield f"DELETE {POSTS}/{{postId}}/comments/{{commentId}}"
    call("PUT", f"{post_path}/like", status=204, user=bob)
    for deleted in (post, hidden):
        call("DELETE", f"/{deleted['postId']}", status=204)
    for deleted in (post, hidden):
        context.wait_for(lambda: is_deleted(deleted["postId"]))  # noqa: B023
    yield f"DELETE {POSTS}/{{postId}}"
