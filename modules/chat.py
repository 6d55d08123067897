"""The chat service: rooms and messages by REST, live frames by WebSocket."""

from __future__ import annotations

from constructs import Construct

from modules.api.websocket import WebSocketApi
from modules.base.bucket import Bucket
from modules.base.connections import CacheConnection
from modules.base.data_access import cache_access
from modules.base.function import FunctionNetwork, LambdaFunction
from modules.base.policy import Statement
from modules.base.service import Service, ServicePlatform
from modules.base.statements import index_access, object_access, table_access, upload_access

ATTACHMENTS = "chat/"
"""Where in their bucket attachments are once checked; members read them by signed addresses."""


class Chat(Service):
    """/v1/chat, and all routes of the WebSocket API.

    Args:
        platform: what it shares with the other services.
        websocket_api: the API whose routes this adds.
        authorizer: redeems the tickets of connecting clients.
        attachments: the bucket of what users upload.
        cache: holds connections, presence and typing.
        network: where in the VPC it runs, to reach the cache.
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
        network: FunctionNetwork,
    ) -> None:
        tables = platform.tables
        messages, rooms, members = tables["chat-messages"], tables["chat-rooms"], tables["chat-members"]
        tickets, aliases = tables["chat-tickets"], tables["profile-aliases"]
        live = cache_access(platform.names, cache)
        super().__init__(
            scope,
            id_,
            platform=platform,
            service="chat",
            path="chat",
            description="Rooms, messages and live frames",
            network=network,
            variables={
                "DYNAMODB_TABLE_MESSAGES": messages.name,
                "DYNAMODB_TABLE_ROOMS": rooms.name,
                "DYNAMODB_TABLE_MEMBERS": members.name,
                "DYNAMODB_TABLE_TICKETS": tickets.name,
                "DYNAMODB_TABLE_ALIASES": aliases.name,
                "S3_BUCKET_ATTACHMENTS": attachments.name,
                "WEBSOCKET_API_ENDPOINT": websocket_api.management_endpoint,
                **live.variables,
            },
            statements=[
                # Edited and marked deleted in place, so that sequence numbers have no gaps.
                table_access("Messages", messages, "GetItem", "PutItem", "UpdateItem"),
                index_access("MessagesOfRoom", messages),
                # A batch: the rooms of one member.
                table_access("Rooms", rooms, "GetItem", "BatchGetItem", "PutItem", "UpdateItem", "DeleteItem"),
                index_access("RoomsByType", rooms),
                # A query: the members of one room. A batch: all of them, when the room goes.
                table_access(
                    "Members", members, "GetItem", "Query", "PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem"
                ),
                index_access("RoomsOfMember", members),
                # Issued here, redeemed by the authorizer.
                table_access("Tickets", tickets, "PutItem"),
                table_access("Aliases", aliases, "GetItem", "PutItem"),
                upload_access(attachments, "chat"),
                object_access("Attachments", attachments, ATTACHMENTS, "GetObject", "PutObject", "DeleteObject"),
                Statement(
                    sid="Connections",
                    actions=["execute-api:ManageConnections"],
                    resources=websocket_api.management_arns,
                ),
                *live.statements,
            ],
        )
        websocket_api.add_routes(self.function, authorizer=authorizer)
