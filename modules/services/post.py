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
"""Where in their bucket posts' images are once checked, within the prefix that the cdn domain serves."""


class Post(Service):
    """/v1/posts.

    The function also finishes deletions: the queue brings it each deleted post until nothing of it is left.

    Args:
        platform: what it shares with the other services.
        attachments: the bucket of what users upload.
        cdn_domain: where images are served, host[:port].
        deletions: the queue of posts that were deleted.
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
                # A condition check: nobody likes or comments on a post while it is being deleted. A batch read: posts found by tag.
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
                # Batch writes here and below: what belongs to a post goes with it.
                table_access("Tags", tags, "Query", "PutItem", "DeleteItem", "BatchWriteItem"),
                # A condition check: nobody replies to a comment that has been deleted.
                table_access(
                    "Comments", comments, "GetItem", "PutItem", "DeleteItem", "ConditionCheckItem"
                ),
                index_access("CommentsOfPost", comments),
                # A batch read: which posts of a page the caller likes. A query: the likes of a post that goes.
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
                # A batch read: the names that the authors of a page have now.
                table_access("Names", profiles, "BatchGetItem"),
                upload_access(attachments, "post"),
                object_access("Images", attachments, IMAGES, "PutObject", "DeleteObject"),
                # The images of a post that goes, known to it or not.
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
        # One at a time: what a popular post leaves to remove is work enough for one call of the function.
        QueueSource(self, "deletions", function=self.function, queue=deletions, batch_size=1)
