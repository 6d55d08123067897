"""post: a public and an anonymous post, all operations on them, and their deletion."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

from lambdas.common.storage.dynamodb import pack
from tests.e2e.support import User
from tests.e2e.walks.world import PNG, World

POSTS = "/v1/posts"


def walk(world: World) -> Iterator[str]:
    ann, bob = world.user("Ann Example"), world.user("Bob Example")
    tag = f"tag-{uuid.uuid4().hex[:8]}"

    def call(
        method: str,
        path: str,
        body: object = None,
        *,
        status: int = 200,
        user: User = ann,
        key: str = "",
    ) -> Any:
        headers = {"Idempotency-Key": key} if key else {}
        return world.api.call(method, POSTS + path, body, token=user.token, headers=headers).expect(
            status
        )

    def gone(post_id: str) -> bool:
        key = pack({"post_id": post_id})
        return "Item" not in world.client("dynamodb").get_item(
            TableName="post-posts-local", Key=key
        )

    signed = call(
        "POST", "/uploads", {"contentType": "image/png", "contentLength": len(PNG)}, status=201
    )
    image = world.upload(signed)
    yield f"POST {POSTS}/uploads"
    key = uuid.uuid4().hex
    call("POST", "", {"content": ""}, status=422, key=key)
    body = {"content": "Hello", "title": "A walk", "tags": [tag, "walk"], "images": [image]}
    post = call("POST", "", body, status=201, key=key)
    assert call("POST", "", body, status=201, key=key) == post
    hidden = call("POST", "", {"content": "Hush", "isAnonymous": True}, status=201)
    yield f"POST {POSTS}"
    page = call("GET", "?limit=1", user=bob)
    call("GET", f"?limit=1&cursor={page['nextCursor']}", user=bob)
    for query in (f"?authorId={ann.user_id}", f"?tag={tag}"):
        assert post["postId"] in {item["postId"] for item in call("GET", query, user=bob)["items"]}
    yield f"GET {POSTS}"
    at = f"/{post['postId']}"
    call("GET", at, user=bob)
    yield f"GET {POSTS}/{{postId}}"
    call("PATCH", at, {"content": "Goodbye", "tags": [tag], "images": []})
    call("PATCH", f"/{hidden['postId']}", {"content": "Hush!"})
    yield f"PATCH {POSTS}/{{postId}}"
    call("PUT", f"{at}/like", status=204, user=bob)
    yield f"PUT {POSTS}/{{postId}}/like"
    call("DELETE", f"{at}/like", status=204, user=bob)
    yield f"DELETE {POSTS}/{{postId}}/like"
    comment = call("POST", f"{at}/comments", {"content": "First"}, status=201, user=bob)
    reply = {"content": "Second", "parentId": comment["commentId"], "isAnonymous": True}
    response = call("POST", f"{at}/comments", reply, status=201)
    yield f"POST {POSTS}/{{postId}}/comments"
    call("GET", f"{at}/comments")
    yield f"GET {POSTS}/{{postId}}/comments"
    call("PATCH", f"{at}/comments/{comment['commentId']}", {"content": "1st"}, user=bob)
    yield f"PATCH {POSTS}/{{postId}}/comments/{{commentId}}"
    call("DELETE", f"{at}/comments/{response['commentId']}", status=204)
    yield f"DELETE {POSTS}/{{postId}}/comments/{{commentId}}"
    call("PUT", f"{at}/like", status=204, user=bob)
    for deleted in (post, hidden):
        call("DELETE", f"/{deleted['postId']}", status=204)
    for deleted in (post, hidden):
        world.eventually(lambda: gone(deleted["postId"]))  # noqa: B023
    yield f"DELETE {POSTS}/{{postId}}"
