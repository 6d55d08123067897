"""The post service: posts, comments and likes."""

from __future__ import annotations

from constructs import Construct

from modules.base.bucket import Bucket
from modules.base.event_source import QueueSource
from modules.base.policy import Statement
from modules.base.queue import Queue
from modules.cdn import IMAGES_PREFIX, picture_variables
from modules.services.service import Service, ServicePlatform
from modules.services.statements import (
    index_access,
    object_access,
    queue_key,
    queue_receiving,
    table_access,
    upload_access,
)

IMAGES = f"{IMAGES_PREFIX}post/"
"""The prefix of posts' images after validation, below the prefix that the CDN serves."""


class Post(Service):
    """/v1/posts.

    The function also completes deletions: the queue redelivers a deleted post until all its data is
    deleted.

    Args:
        platform: What all services share.
        attachments: The bucket of users' uploads.
        cdn_domain: The domain that serves images, host[:port].
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
        posts, comments, likes = tables["post-posts"], tables["post-comments"], tables["post-likes"]
        counters, tags = tables["post-counters"], tables["post-tags"]
        aliases, authors, profiles = (
            tables["profile-aliases"],
            tables["platform-authors"],
            tables["profile-profiles"],
        )
        super().__init__(
            scope,
            id_,
            platform=platform,
            service="post",
            path="posts",
            description="Posts, comments and likes",
            outbox=True,
            variables={
                "DYNAMODB_TABLE_POSTS": posts.name,
                "DYNAMODB_TABLE_COMMENTS": comments.name,
                "DYNAMODB_TABLE_LIKES": likes.name,
                "DYNAMODB_TABLE_COUNTERS": counters.name,
                "DYNAMODB_TABLE_TAGS": tags.name,
                "DYNAMODB_TABLE_ALIASES": aliases.name,
                "DYNAMODB_TABLE_AUTHORS": authors.name,
                "DYNAMODB_TABLE_PROFILES": profiles.name,
                "S3_BUCKET_ATTACHMENTS": attachments.name,
                **picture_variables(platform.environment, cdn_domain),
                "TIMELINE_SHARDS": str(platform.environment.dynamodb.timeline_shards),
            },
            statements=[
                # ConditionCheckItem: no likes or comments while a post is being deleted.
                # BatchGetItem: posts found by tag.
                table_access(
                    "Posts",
                    posts,
                    "GetItem",
                    "BatchGetItem",
                    "PutItem",
                    "DeleteItem",
                    "ConditionCheckItem",
                ),
                index_access("TimelineAndAuthors", posts),
                # BatchWriteItem, here and below: deletes a post's dependent data.
                table_access("Tags", tags, "Query", "PutItem", "DeleteItem", "BatchWriteItem"),
                # ConditionCheckItem: no replies to a deleted comment.
                table_access(
                    "Comments", comments, "GetItem", "PutItem", "DeleteItem", "ConditionCheckItem"
                ),
                index_access("CommentsOfPost", comments),
                # BatchGetItem: the caller's likes on a page. Query: all likes of a deleted post.
                table_access(
                    "Likes",
                    likes,
                    "BatchGetItem",
                    "Query",
                    "PutItem",
                    "DeleteItem",
                    "BatchWriteItem",
                ),
                table_access(
                    "Counters", counters, "GetItem", "BatchGetItem", "UpdateItem", "BatchWriteItem"
                ),
                table_access("Aliases", aliases, "GetItem", "PutItem"),
                table_access("Authors", authors, "GetItem", "PutItem", "DeleteItem"),
                # BatchGetItem: the current names of a page's authors.
                table_access("Names", profiles, "BatchGetItem"),
                upload_access(attachments, "post"),
                object_access("Images", attachments, IMAGES, "PutObject", "DeleteObject"),
                # Lists a deleted post's images, including those that the post does not refer to.
                Statement(
                    sid="ImagesOfPost",
                    actions=["s3:ListBucket"],
                    resources=[attachments.arn],
                    conditions={"StringLike": {"s3:prefix": f"{IMAGES}*"}},
                ),
                queue_receiving(deletions),
                queue_key(platform.names, deletions),
            ],
        )
        # One per batch, since a popular post's data can take a whole invocation to delete.
        QueueSource(self, "deletions", function=self.function, queue=deletions, batch_size=1)
