"""The resources of the chat service: rooms and messages over REST, live frames over WebSocket."""

from __future__ import annotations

from constructs import Construct

from environments import Environment
from modules.api.websocket import WebSocketApi
from modules.base.access import Prefix, bucket_access, cache_access, queue_sending, table_access
from modules.base.bucket import Bucket
from modules.base.connections import CacheConnection
from modules.base.function import FunctionNetwork, LambdaFunction
from modules.services.delivery import ATTACHMENTS_PREFIX, Delivery, room_variables
from modules.services.service import Service, ServicePlatform
from modules.storage import upload_prefix


def _client_variables(environment: Environment) -> dict[str, str]:
    """Returns environment variables for the settings that differ from the defaults of the code."""
    chat, defaults = environment.chat, type(environment.chat)()
    return {
        name.upper(): str(getattr(chat, name))
        for name in ("signal_limit", "reconnect_seconds")
        if getattr(chat, name) != getattr(defaults, name)
    }


class Chat(Service):
    """The service at /v1/chat and behind all routes of the WebSocket API.

    Args:
        platform: The settings and resources that all services share.
        websocket_api: The API to which the construct adds the routes.
        authorizer: The function that redeems the tickets of connecting clients.
        attachments: The bucket of users' uploads.
        cache: The cache of connections, presence and typing.
        delivery: The construct that delivers frames (WebSocket messages) to large rooms.
        network: The subnets and security group from which the function reaches the cache.
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
                **room_variables(platform.environment),
                **_client_variables(platform.environment),
            },
            access=[
                # DeleteItem is only for reactions. Items of deleted messages are kept, so that the
                # sequence numbers have no gaps.
                table_access(
                    tables["chat-messages"],
                    "BatchGetItem",
                    "PutItem",
                    "UpdateItem",
                    "DeleteItem",
                    index_sid="MessagesOfRoom",
                ),
                table_access(
                    tables["chat-rooms"],
                    "BatchGetItem",
                    "PutItem",
                    "UpdateItem",
                    "DeleteItem",
                    index_sid="RoomsByType",
                ),
                table_access(
                    tables["chat-members"],
                    "BatchGetItem",
                    "Query",
                    "PutItem",
                    "DeleteItem",
                    index_sid="RoomsOfMember",
                ),
                # Reads the sessions of a room's connections, because a connection of an ended
                # session must receive nothing.
                table_access(tables["auth-sessions"], "BatchGetItem", sid="RevokedSessions"),
                # The chat function creates tickets, and the authorizer redeems them.
                table_access(tables["chat-tickets"], "PutItem"),
                table_access(tables["profile-aliases"], "GetItem", "PutItem"),
                # Contains the authors of anonymous messages, who may edit and delete them.
                table_access(tables["platform-authors"], "GetItem", "PutItem"),
                # Reads the names and privacy settings of users.
                table_access(tables["profile-profiles"], "BatchGetItem"),
                bucket_access(
                    "S3_BUCKET_ATTACHMENTS",
                    attachments,
                    upload_prefix("chat"),
                    Prefix(
                        "Attachments",
                        ATTACHMENTS_PREFIX,
                        ("GetObject", "PutObject", "DeleteObject"),
                    ),
                ),
                websocket_api.connection_access(),
                queue_sending("DELIVERIES_QUEUE_URL", delivery.deliveries, sid="Delivery"),
                queue_sending("DELIVERY_RETRIES_QUEUE_URL", delivery.retries, sid="Delivery"),
                cache_access(platform.names, cache),
            ],
        )
        websocket_api.add_routes(self.function, authorizer=authorizer)
