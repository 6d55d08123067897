"""The chat service: rooms and messages over REST, live frames over WebSocket."""

from __future__ import annotations

from constructs import Construct

from modules.api.websocket import WebSocketApi
from modules.base.bucket import Bucket
from modules.base.connections import CacheConnection
from modules.base.data_access import cache_access
from modules.base.function import FunctionNetwork, LambdaFunction
from modules.base.policy import Statement
from modules.services.delivery import ATTACHMENTS, Delivery
from modules.services.service import Service, ServicePlatform
from modules.services.statements import (
    index_access,
    object_access,
    queue_key,
    table_access,
    upload_access,
)


class Chat(Service):
    """/v1/chat, and all routes of the WebSocket API.

    Args:
        platform: What all services share.
        websocket_api: The API that gets the routes.
        authorizer: Redeems the tickets of connecting clients.
        attachments: The bucket of users' uploads.
        cache: Holds connections, presence and typing.
        delivery: Delivers frames to big rooms.
        network: The location in the VPC, to reach the cache.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        platform: ServicePlatform,
        websocket_api: WebSocketApi,
        authorizer: LambdaFunction,
        attachments: Bucket,
        cache: CacheConnection,
        delivery: Delivery,
        network: FunctionNetwork,
    ) -> None:
        tables = platform.tables
        messages, rooms, members = (
            tables["chat-messages"],
            tables["chat-rooms"],
            tables["chat-members"],
        )
        tickets, aliases = tables["chat-tickets"], tables["profile-aliases"]
        authors, profiles = tables["platform-authors"], tables["profile-profiles"]
        live = cache_access(platform.names, cache)
        super().__init__(
            scope,
            id_,
            platform=platform,
            service="chat",
            path="chat",
            description="Rooms, messages and live frames",
            network=network,
            outbox=True,
            variables={
                "DYNAMODB_TABLE_MESSAGES": messages.name,
                "DYNAMODB_TABLE_ROOMS": rooms.name,
                "DYNAMODB_TABLE_MEMBERS": members.name,
                "DYNAMODB_TABLE_TICKETS": tickets.name,
                "DYNAMODB_TABLE_ALIASES": aliases.name,
                "DYNAMODB_TABLE_AUTHORS": authors.name,
                "DYNAMODB_TABLE_PROFILES": profiles.name,
                "S3_BUCKET_ATTACHMENTS": attachments.name,
                "WEBSOCKET_API_ENDPOINT": websocket_api.management_endpoint,
                "DELIVERIES_QUEUE_URL": delivery.deliveries.url,
                "DELIVERY_RETRIES_QUEUE_URL": delivery.retries.url,
                **live.variables,
            },
            statements=[
                # Reactions are items that are deleted. Messages stay, so that numbers have no gaps.
                table_access(
                    "Messages", messages, "BatchGetItem", "PutItem", "UpdateItem", "DeleteItem"
                ),
                index_access("MessagesOfRoom", messages),
                table_access("Rooms", rooms, "BatchGetItem", "PutItem", "UpdateItem", "DeleteItem"),
                index_access("RoomsByType", rooms),
                table_access("Members", members, "BatchGetItem", "Query", "PutItem", "DeleteItem"),
                index_access("RoomsOfMember", members),
                # Created here, redeemed by the authorizer.
                table_access("Tickets", tickets, "PutItem"),
                table_access("Aliases", aliases, "GetItem", "PutItem"),
                # Authors of anonymous messages, to let them edit.
                table_access("Authors", authors, "GetItem", "PutItem"),
                # Names and privacy settings.
                table_access("Profiles", profiles, "BatchGetItem"),
                upload_access(attachments, "chat"),
                object_access(
                    "Attachments",
                    attachments,
                    ATTACHMENTS,
                    "GetObject",
                    "PutObject",
                    "DeleteObject",
                ),
                Statement(
                    sid="Connections",
                    actions=["execute-api:ManageConnections"],
                    resources=[websocket_api.posting_arn, websocket_api.closing_arn],
                ),
                Statement(
                    sid="Delivery",
                    actions=["sqs:SendMessage"],
                    resources=[delivery.deliveries.arn, delivery.retries.arn],
                ),
                queue_key(platform.names, delivery.deliveries, sends=True),
                *live.statements,
            ],
        )
        websocket_api.add_routes(self.function, authorizer=authorizer)
