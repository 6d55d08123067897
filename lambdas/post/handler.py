"""The post function: handles API requests, and finishes the deletion of posts.

A queue delivers the PostDeleted events of the posts whose deletion must be finished.
"""

from collections.abc import Mapping
from functools import partial
from http import HTTPStatus
from typing import Any

import msgspec

from lambdas.common.clients import Clients
from lambdas.common.logs import Logger, create_logger
from lambdas.common.messaging.consumer import consume_messages
from lambdas.common.messaging.outbox import OutboxWriter
from lambdas.common.people.aliases import AliasStore
from lambdas.common.people.authors import AuthorStore
from lambdas.common.people.pictures import PictureSettings
from lambdas.common.people.profiles import ProfileReader
from lambdas.common.settings import read
from lambdas.common.signing.keys import KeyRing, ParameterKeySource
from lambdas.common.storage.uploads import ImageUpload, SignedUpload
from lambdas.common.validation import EmptyBody, validate
from lambdas.common.web.http import Event, Request, Response
from lambdas.common.web.pagination import Cursors, Page, PageQuery
from lambdas.common.web.preconditions import IfMatch, Versioned
from lambdas.common.web.service import Handler, ServiceSettings, create_router, entry_point
from lambdas.post.authorship import Authorship
from lambdas.post.comments import DynamoCommentStore
from lambdas.post.discussion import CommentService
from lambdas.post.images import S3Images
from lambdas.post.likes import DynamoLikeStore
from lambdas.post.logic import PostService
from lambdas.post.models import (
    CommentView,
    CreateComment,
    CreatePost,
    PostQuery,
    PostView,
    UpdateComment,
    UpdatePost,
)
from lambdas.post.posts import DynamoPostStore
from lambdas.post.removal import Removal
from lambdas.post.routes import ROUTES
from lambdas.post.timeline import Months


class PostSettings(ServiceSettings, frozen=True, kw_only=True):
    dynamodb_table_posts: str
    dynamodb_table_comments: str
    dynamodb_table_likes: str
    dynamodb_table_counters: str
    dynamodb_table_tags: str
    dynamodb_table_aliases: str
    dynamodb_table_authors: str
    dynamodb_table_profiles: str
    dynamodb_table_outbox: str
    s3_bucket_attachments: str
    timeline_shards: int


class PostApi:
    """One method for each operation that `routes.ROUTES` names.

    On routes with `anonymous=True`, the log omits the caller unless the operation sets
    `request.anonymous` to False.
    """

    def __init__(self, posts: PostService, comments: CommentService, cursors: Cursors) -> None:
        self._posts = posts
        self._comments = comments
        self._cursors = cursors

    def create_upload(self, request: Request) -> Response[SignedUpload]:
        """Returns a signed form for the upload of an image.

        The form is valid for 5 minutes. After the upload, put the key in `images` of a post.
        """
        body = validate(ImageUpload, request.json)
        return Response.created(
            self._posts.create_upload(request.caller, body.content_type, body.content_length)
        )

    def list_posts(self, request: Request) -> Response[Page[PostView]]:
        """Lists posts, newest first, of all users or of one author, with an optional tag."""
        query = validate(PostQuery, request.query, from_text=True)
        before = self._cursors.position(query, "posts")
        items, position = self._posts.list_posts(request.caller, query, before)
        return Response(body=self._cursors.page(items, query, "posts", position))

    def create_post(self, request: Request) -> Versioned[PostView]:
        """Creates a post.

        With `isAnonymous`, the post shows the alias of the author. Posts of anonymous users are
        always anonymous.
        """
        body = validate(CreatePost, request.json)
        post = request.creation.find_or_create(
            partial(self._posts.get, request.caller),
            partial(self._posts.create, request.caller, body),
        )
        request.anonymous = post.is_anonymous
        return Versioned(post, post.version, HTTPStatus.CREATED)

    def get_post(self, request: Request) -> Versioned[PostView]:
        """Returns a post."""
        post = self._posts.get(request.caller, _post_id(request))
        return Versioned(post, post.version)

    def update_post(self, request: Request) -> Versioned[PostView]:
        """Changes the fields of a post that the body contains. Only the author can do this."""
        body = validate(UpdatePost, request.json)
        post: PostView = self._posts.update(
            request.caller, _post_id(request), body, IfMatch.of(request)
        )
        request.anonymous = post.is_anonymous
        return Versioned(post, post.version)

    def delete_post(self, request: Request) -> Response[None]:
        """Deletes a post with its comments. Authors and moderators can do this."""
        request.anonymous = self._posts.delete(request.caller, _post_id(request))
        return Response.no_content()

    def like_post(self, request: Request) -> Response[None]:
        """Adds the caller's like to a post. Another like of the same user has no effect."""
        validate(EmptyBody, request.json)
        self._posts.like(request.caller, _post_id(request))
        return Response.no_content()

    def unlike_post(self, request: Request) -> Response[None]:
        """Removes the caller's like of a post."""
        self._posts.unlike(request.caller, _post_id(request))
        return Response.no_content()

    def list_comments(self, request: Request) -> Response[Page[CommentView]]:
        """Lists the comments on a post, oldest first."""
        query = validate(PageQuery, request.query, from_text=True)
        scope = f"comments {(post_id := _post_id(request))}"
        after = self._cursors.position(query, scope)
        items, position = self._comments.list_comments(request.caller, post_id, query.limit, after)
        return Response(body=self._cursors.page(items, query, scope, position))

    def create_comment(self, request: Request) -> Versioned[CommentView]:
        """Comments on a post, or on a comment if `parentId` is set. Comments have at most 5
        levels.
        """
        body = validate(CreateComment, request.json)
        post_id = _post_id(request)
        comment = request.creation.find_or_create(
            partial(self._comments.get, request.caller, post_id),
            partial(self._comments.create, request.caller, post_id, body),
        )
        request.anonymous = comment.is_anonymous
        return Versioned(comment, comment.version, HTTPStatus.CREATED)

    def update_comment(self, request: Request) -> Versioned[CommentView]:
        """Changes the content of a comment. Only the author can do this."""
        body = validate(UpdateComment, request.json)
        post_id, comment_id = _post_id(request), _comment_id(request)
        comment = self._comments.update(
            request.caller, post_id, comment_id, body, IfMatch.of(request)
        )
        request.anonymous = comment.is_anonymous
        return Versioned(comment, comment.version)

    def delete_comment(self, request: Request) -> Response[None]:
        """Deletes a comment. Authors and moderators can do this."""
        request.anonymous = self._comments.delete(
            request.caller, _post_id(request), _comment_id(request)
        )
        return Response.no_content()


class _PostDeleted(msgspec.Struct, rename="camel"):
    post_id: str


class _Detail(msgspec.Struct, rename="camel"):
    correlation_id: str | None
    data: _PostDeleted


class _Deletion(msgspec.Struct):
    """The PostDeleted event in a queue message."""

    detail: _Detail


def consume(removal: Removal, logger: Logger, message: bytes) -> None:
    """Finishes deleting the post whose PostDeleted event is in a queue message."""
    detail = msgspec.json.decode(message, type=_Deletion).detail
    logger.set_correlation_id(detail.correlation_id)
    removal.finish(detail.data.post_id)
    logger.info("post removed", post_id=detail.data.post_id)


def build(environ: Mapping[str, str]) -> Handler:
    """Builds the service, which handles API events and SQS batches, from environment variables."""
    settings = read(PostSettings, environ)
    clients = Clients(settings.region)
    logger = create_logger(settings)
    dynamodb = clients.dynamodb
    authors = AuthorStore(dynamodb, settings.dynamodb_table_authors)
    posts = DynamoPostStore(
        dynamodb,
        posts=settings.dynamodb_table_posts,
        tags=settings.dynamodb_table_tags,
        months=Months(dynamodb, settings.dynamodb_table_counters),
        authors=authors,
        shards=settings.timeline_shards,
    )
    likes = DynamoLikeStore(
        dynamodb,
        likes=settings.dynamodb_table_likes,
        counters=settings.dynamodb_table_counters,
        posts=posts,
    )
    comments = DynamoCommentStore(
        dynamodb,
        comments=settings.dynamodb_table_comments,
        counters=settings.dynamodb_table_counters,
        posts=posts,
        authors=authors,
    )
    images = S3Images(lambda: clients.s3, settings.s3_bucket_attachments)
    authorship = Authorship(
        authors,
        AliasStore(dynamodb, settings.dynamodb_table_aliases),
        ProfileReader(dynamodb, settings.dynamodb_table_profiles),
    )
    events = OutboxWriter(settings.dynamodb_table_outbox, "post", logger)
    api = PostApi(
        PostService(
            posts=posts,
            likes=likes,
            images=images,
            authorship=authorship,
            events=events,
            image_url=read(PictureSettings, environ).picture_url,
            shards=settings.timeline_shards,
        ),
        CommentService(posts=posts, comments=comments, authorship=authorship, events=events),
        Cursors(KeyRing(ParameterKeySource(clients.ssm, settings.cursor_key_parameter))),
    )
    router = create_router(settings, clients, ROUTES, api, logger)
    removal = Removal(posts=posts, comments=comments, likes=likes, images=images, events=events)

    def handle(event: Event, context: object) -> dict[str, Any]:
        if "Records" not in event:
            return router(event, context)
        return consume_messages(dict(event), partial(consume, removal, logger), logger)

    return handle


_serve = entry_point(build)


def handler(event: Event, context: object) -> dict[str, Any]:
    """The entry point for Lambda.

    Raises RuntimeError if the service could not start for an SQS batch.
    """
    result = _serve(event, context)
    if "Records" in event and "statusCode" in result:
        # The service could not start. If the function returned the HTTP response, SQS would delete
        # the messages.
        raise RuntimeError("the service could not start, so the batch was not processed")
    return result


def _post_id(request: Request) -> str:
    return request.path_parameters["postId"]


def _comment_id(request: Request) -> str:
    return request.path_parameters["commentId"]
