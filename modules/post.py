"""The post service: posts, comments and likes."""

from __future__ import annotations

from constructs import Construct

from modules.base.bucket import Bucket
from modules.base.service import Service, ServicePlatform
from modules.base.statements import index_access, object_access, table_access, upload_access
from modules.cdn import IMAGES_PREFIX, picture_variables

IMAGES = f"{IMAGES_PREFIX}post/"
"""Where in their bucket posts' images are once checked, within the prefix that the cdn domain serves."""


class Post(Service):
    """/v1/posts.

    Args:
        platform: what it shares with the other services.
        attachments: the bucket of what users upload.
        cdn_domain: where images are served, host[:port].
    """

    def __init__(
        self, scope: Construct, id_: str, *, platform: ServicePlatform, attachments: Bucket, cdn_domain: str
    ) -> None:
        tables = platform.tables
        posts, comments, likes = tables["post-posts"], tables["post-comments"], tables["post-likes"]
        counters, aliases = tables["post-counters"], tables["profile-aliases"]
        super().__init__(
            scope,
            id_,
            platform=platform,
            service="post",
            path="posts",
            description="Posts, comments and likes",
            variables={
                "DYNAMODB_TABLE_POSTS": posts.name,
                "DYNAMODB_TABLE_COMMENTS": comments.name,
                "DYNAMODB_TABLE_LIKES": likes.name,
                "DYNAMODB_TABLE_COUNTERS": counters.name,
                "DYNAMODB_TABLE_ALIASES": aliases.name,
                "S3_BUCKET_ATTACHMENTS": attachments.name,
                **picture_variables(platform.environment, cdn_domain),
                "TIMELINE_SHARDS": str(platform.environment.dynamodb.timeline_shards),
            },
            statements=[
                # A condition check: nobody likes or comments on a post while it is being deleted.
                table_access("Posts", posts, "GetItem", "PutItem", "UpdateItem", "DeleteItem", "ConditionCheckItem"),
                index_access("TimelineAndAuthors", posts),
                # Batches here and below: what belongs to a post goes with it.
                table_access("Comments", comments, "GetItem", "PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem"),
                index_access("CommentsOfPost", comments),
                # A batch read: which posts of a page the caller likes. A query: the likes of a post that goes.
                table_access(
                    "Likes", likes, "BatchGetItem", "Query", "PutItem", "DeleteItem", "GetItem", "BatchWriteItem"
                ),
                table_access(
                    "Counters", counters, "GetItem", "BatchGetItem", "UpdateItem", "DeleteItem", "BatchWriteItem"
                ),
                table_access("Aliases", aliases, "GetItem", "PutItem"),
                upload_access(attachments, "post"),
                object_access("Images", attachments, IMAGES, "PutObject", "DeleteObject"),
            ],
        )
