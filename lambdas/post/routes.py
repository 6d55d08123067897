"""The routes of the post service, and their access rules."""

from lambdas.common.caller import POST_ANONYMOUS, READ, USER
from lambdas.common.storage.uploads import ImageUpload
from lambdas.common.validation import EmptyBody
from lambdas.common.web.access import capability, role
from lambdas.common.web.pagination import PageQuery
from lambdas.common.web.router import Route
from lambdas.post.models import (
    CreateComment,
    CreatePost,
    PostQuery,
    UpdateComment,
    UpdatePost,
)

_READ = capability(READ)
_POST = capability(POST_ANONYMOUS)
_USER = role(USER)

ROUTES = (
    Route("POST", "/v1/posts/uploads", _USER, "create_upload", 201, ImageUpload),
    Route("GET", "/v1/posts", _READ, "list_posts", query=PostQuery),
    Route(
        "POST",
        "/v1/posts",
        _POST,
        "create_post",
        201,
        CreatePost,
        idempotent=True,
        anonymous=True,
        error_codes={"anonymous_not_allowed": 403, "upload_changed": 409},
    ),
    Route("GET", "/v1/posts/{postId}", _READ, "get_post", error_codes={"post_not_found": 404}),
    Route(
        "PATCH",
        "/v1/posts/{postId}",
        _POST,
        "update_post",
        body=UpdatePost,
        conditional=True,
        anonymous=True,
        error_codes={"not_the_author": 403, "post_not_found": 404, "upload_changed": 409},
    ),
    Route(
        "DELETE",
        "/v1/posts/{postId}",
        _POST,
        "delete_post",
        204,
        anonymous=True,
        error_codes={"not_the_author": 403, "post_not_found": 404},
    ),
    Route(
        "PUT",
        "/v1/posts/{postId}/like",
        _USER,
        "like_post",
        204,
        EmptyBody,
        error_codes={"post_not_found": 404},
    ),
    Route(
        "DELETE",
        "/v1/posts/{postId}/like",
        _USER,
        "unlike_post",
        204,
        error_codes={"post_not_found": 404},
    ),
    Route(
        "GET",
        "/v1/posts/{postId}/comments",
        _READ,
        "list_comments",
        query=PageQuery,
        error_codes={"post_not_found": 404},
    ),
    Route(
        "POST",
        "/v1/posts/{postId}/comments",
        _POST,
        "create_comment",
        201,
        CreateComment,
        idempotent=True,
        anonymous=True,
        error_codes={"anonymous_not_allowed": 403, "post_not_found": 404},
    ),
    Route(
        "PATCH",
        "/v1/posts/{postId}/comments/{commentId}",
        _POST,
        "update_comment",
        body=UpdateComment,
        conditional=True,
        anonymous=True,
        error_codes={"not_the_author": 403, "post_not_found": 404, "comment_not_found": 404},
    ),
    Route(
        "DELETE",
        "/v1/posts/{postId}/comments/{commentId}",
        _POST,
        "delete_comment",
        204,
        anonymous=True,
        error_codes={"not_the_author": 403, "post_not_found": 404, "comment_not_found": 404},
    ),
)
