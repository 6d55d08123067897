"""The routes of the post service, and their access rules."""

from lambdas.common.caller import POST_ANONYMOUS, READ, USER
from lambdas.common.web.access import capability, role
from lambdas.common.web.router import Route

_READ = capability(READ)
_POST = capability(POST_ANONYMOUS)
_USER = role(USER)

ROUTES = (
    Route("POST", "/v1/posts/uploads", _USER, "create_upload"),
    Route("GET", "/v1/posts", _READ, "list_posts"),
    Route("POST", "/v1/posts", _POST, "create_post", idempotent=True, anonymous=True),
    Route("GET", "/v1/posts/{postId}", _READ, "get_post"),
    Route("PATCH", "/v1/posts/{postId}", _POST, "update_post", anonymous=True),
    Route("DELETE", "/v1/posts/{postId}", _POST, "delete_post", anonymous=True),
    Route("PUT", "/v1/posts/{postId}/like", _USER, "like_post"),
    Route("DELETE", "/v1/posts/{postId}/like", _USER, "unlike_post"),
    Route("GET", "/v1/posts/{postId}/comments", _READ, "list_comments"),
    Route(
        "POST",
        "/v1/posts/{postId}/comments",
        _POST,
        "create_comment",
        idempotent=True,
        anonymous=True,
    ),
    Route(
        "PATCH", "/v1/posts/{postId}/comments/{commentId}", _POST, "update_comment", anonymous=True
    ),
    Route(
        "DELETE", "/v1/posts/{postId}/comments/{commentId}", _POST, "delete_comment", anonymous=True
    ),
)
