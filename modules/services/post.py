"""The resources of the post service: posts, comments and likes."""

from __future__ import annotations

from constructs import Construct

from modules.base.access import Prefix, bucket_access, table_access
from modules.base.bucket import Bucket
from modules.base.event_source import queue_source
from modules.base.queue import Queue
from modules.cdn import IMAGES_PREFIX
from modules.services.service import Service, ServicePlatform
from modules.storage import upload_prefix

POST_IMAGES_PREFIX = f"{IMAGES_PREFIX}post/"
"""S3 key prefix of validated post images. It starts with the prefix that the CDN serves."""


class Post(Service):
    """The service at /v1/posts.

    The function also completes deletions. A queue invokes it with the event of a deleted post until
    all data of the post is deleted.

    Args:
        platform: The settings and resources that all services share.
        attachments: The bucket of users' uploads.
        cdn_domain: The domain that serves images, in the form host[:port].
        deletions: The queue of deleted posts.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        platform: ServicePlatform,
        attachments: Bucket,
        cdn_domain: str,
        deletions: Queue,
    ) -> None:
        tables = platform.tables
        super().__init__(
            scope,
            id_,
            platform=platform,
            service="post",
            path="posts",
            description="Posts, comments and likes",
            outbox=True,
            variables={
                "CLOUDFRONT_DOMAIN": cdn_domain,
                "TIMELINE_SHARDS": str(platform.environment.dynamodb.timeline_shards),
            },
            access=[
                # ConditionCheckItem rejects likes and comments while a post is being deleted.
                # BatchGetItem reads the posts that a search by tag found.
                table_access(
                    tables["post-posts"],
                    "GetItem",
                    "BatchGetItem",
                    "PutItem",
                    "DeleteItem",
                    "ConditionCheckItem",
                    index_sid="TimelineAndAuthors",
                ),
                # BatchWriteItem, here and in the next statements, deletes the dependent data of a
                # deleted post.
                table_access(
                    tables["post-tags"], "Query", "PutItem", "DeleteItem", "BatchWriteItem"
                ),
                # ConditionCheckItem rejects replies to a deleted comment.
                table_access(
                    tables["post-comments"],
                    "GetItem",
                    "PutItem",
                    "DeleteItem",
                    "ConditionCheckItem",
                    index_sid="CommentsOfPost",
                ),
                # BatchGetItem reads the caller's likes on one page of posts. Query reads all
                # likes of a deleted post.
                table_access(
                    tables["post-likes"],
                    "BatchGetItem",
                    "Query",
                    "PutItem",
                    "DeleteItem",
                    "BatchWriteItem",
                ),
                table_access(
                    tables["post-counters"],
                    "GetItem",
                    "BatchGetItem",
                    "UpdateItem",
                    "BatchWriteItem",
                ),
                table_access(tables["profile-aliases"], "GetItem", "PutItem"),
                table_access(tables["platform-authors"], "GetItem", "PutItem", "DeleteItem"),
                # BatchGetItem reads the current names of a page's authors.
                table_access(tables["profile-profiles"], "BatchGetItem", sid="Names"),
                bucket_access(
                    "S3_BUCKET_ATTACHMENTS",
                    attachments,
                    upload_prefix("post"),
                    # Listing the prefix finds all images of a deleted post, even those that the
                    # post did not show.
                    Prefix(
                        "Images", POST_IMAGES_PREFIX, ("PutObject", "DeleteObject"), "ImagesOfPost"
                    ),
                ),
                # A batch has only one event, because deleting a popular post's data can take a
                # whole invocation.
                queue_source("deletions", deletions, batch_size=1),
            ],
        )
