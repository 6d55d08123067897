"""The chat function: handles requests of the REST API and events of the WebSocket API."""

from collections.abc import Mapping
from functools import partial
from http import HTTPStatus
from typing import Any

from msgspec import UNSET

from lambdas.chat.attachments import Attachments
from lambdas.chat.broadcast import INLINE_LIMIT, Broadcast, DeliveryQueues
from lambdas.chat.frames import Frames
from lambdas.chat.member_logic import MemberService
from lambdas.chat.members import MemberStore
from lambdas.chat.message_logic import Draft, MessageService
from lambdas.chat.messages import MessageStore
from lambdas.chat.models import (
    AttachmentForm,
    CreateAttachment,
    CreateRoom,
    EditMessage,
    Invite,
    MembersQuery,
    MemberView,
    MessagesQuery,
    RoomsQuery,
    RoomView,
    SendMessage,
    TicketView,
    UpdateMember,
    UpdateRoom,
)
from lambdas.chat.people import People
from lambdas.chat.presence import Presence
from lambdas.chat.reactions import ReactionStore
from lambdas.chat.records import ChatTables
from lambdas.chat.room_logic import RoomService
from lambdas.chat.rooms import RoomStore
from lambdas.chat.routes import ROUTES
from lambdas.chat.signals import Signals
from lambdas.chat.standing import Standings
from lambdas.common.clients import Clients
from lambdas.common.live.audience import AudienceReader
from lambdas.common.live.chat_messages import MessageView
from lambdas.common.live.fanout import ApiGateway, Fanout, Gateway
from lambdas.common.live.listeners import LiveRooms
from lambdas.common.logs import Logger, create_logger
from lambdas.common.messaging.outbox import OutboxWriter
from lambdas.common.people.aliases import AliasStore
from lambdas.common.people.authors import AuthorStore
from lambdas.common.people.profiles import ProfileReader
from lambdas.common.settings import read
from lambdas.common.signing.keys import KeyRing, ParameterKeySource
from lambdas.common.signing.tickets import LIFETIME, TicketStore
from lambdas.common.storage.cache import CacheSettings, GuardedCache, guarded_cache
from lambdas.common.storage.dynamodb import Table
from lambdas.common.storage.transactions import Transactions
from lambdas.common.storage.uploads import ATTACHMENT_LIMIT, ATTACHMENT_TYPES, Uploads
from lambdas.common.validation import EmptyBody, validate
from lambdas.common.web.http import Event, Request, Response
from lambdas.common.web.pagination import Cursors, Page
from lambdas.common.web.preconditions import IfMatch, Versioned
from lambdas.common.web.service import Handler, ServiceSettings, create_router, entry_point
from lambdas.common.web.sessions import SessionReader


class ChatSettings(ServiceSettings, frozen=True, kw_only=True):
    dynamodb_table_messages: str
    dynamodb_table_rooms: str
    dynamodb_table_members: str
    dynamodb_table_tickets: str
    dynamodb_table_aliases: str
    dynamodb_table_authors: str
    dynamodb_table_profiles: str
    dynamodb_table_outbox: str
    s3_bucket_attachments: str
    websocket_api_endpoint: str
    aws_ca_bundle: str | None = None
    deliveries_queue_url: str
    delivery_retries_queue_url: str
    room_parts: int = 1
    signal_limit: int = INLINE_LIMIT
    reconnect_seconds: int = 0


class ChatApi:
    def __init__(
        self,
        *,
        standings: Standings,
        rooms: RoomService,
        members: MemberService,
        messages: MessageService,
        attachments: Attachments,
        tickets: TicketStore,
        reconnect_seconds: int,
    ) -> None:
        self._standings = standings
        self._rooms = rooms
        self._members = members
        self._messages = messages
        self._attachments = attachments
        self._tickets = tickets
        self._reconnect_seconds = reconnect_seconds

    def list_rooms(self, request: Request) -> Response[Page[RoomView]]:
        """Lists the caller's rooms, then public rooms that the caller has not joined."""
        query = validate(RoomsQuery, request.query, from_text=True)
        return Response(body=self._rooms.list_rooms(request.caller, query))

    def create_room(self, request: Request) -> Versioned[RoomView]:
        """Creates a room. The caller becomes its owner."""
        body = validate(CreateRoom, request.json)
        room = request.creation.find_or_create(
            partial(self._rooms.get, request.caller),
            partial(self._rooms.create, request.caller, body),
        )
        return Versioned(room, room.version, HTTPStatus.CREATED)

    def get_room(self, request: Request) -> Versioned[RoomView]:
        """Returns a room. Public rooms can be read by everybody, other rooms by members."""
        room = self._rooms.get(request.caller, _room_id(request))
        return Versioned(room, room.version)

    def update_room(self, request: Request) -> Versioned[RoomView]:
        """Changes a room. The body contains the new values. Missing fields do not change.

        Only the owner and admins can do this. If `maxMembers` is null, the limit of the room type
        applies.
        """
        body = validate(UpdateRoom, request.json)
        room = self._rooms.update(request.caller, _room_id(request), body, IfMatch.of(request))
        return Versioned(room, room.version)

    def delete_room(self, request: Request) -> Response[None]:
        """Deletes a room with everything in it. Only the owner can do this."""
        self._rooms.delete(request.caller, _room_id(request))
        return Response.no_content()

    def join_room(self, request: Request) -> Response[RoomView]:
        """Makes the caller a member of an open room."""
        validate(EmptyBody, request.json)
        standing = self._standings.find(request.caller, _room_id(request))
        return Response(body=self._rooms.view(standing.room, self._members.join(standing)))

    def leave_room(self, request: Request) -> Response[None]:
        """Ends the caller's membership.

        The owner of a room must first make another member the owner. This does not apply to direct
        rooms.
        """
        self._members.leave(request.caller, _room_id(request))
        return Response.no_content()

    def list_members(self, request: Request) -> Response[Page[MemberView]]:
        """Lists the members of a room. Moderators can also list the banned users."""
        query = validate(MembersQuery, request.query, from_text=True)
        return Response(body=self._members.list_members(request.caller, _room_id(request), query))

    def invite_member(self, request: Request) -> Versioned[MemberView]:
        """Makes a user a member of a room."""
        body = validate(Invite, request.json)
        member = self._members.invite(request.caller, _room_id(request), body.user_id)
        return Versioned(member, member.version, HTTPStatus.CREATED)

    def update_member(self, request: Request) -> Versioned[MemberView]:
        """Changes a member's role, mutes or bans the member, or lifts a mute or ban.

        The caller must have a higher rank than the member. The owner transfers the room by giving
        another member the role `owner`.
        """
        body = validate(UpdateMember, request.json)
        member = self._members.update(
            request.caller, _room_id(request), _user_id(request), body, IfMatch.of(request)
        )
        return Versioned(member, member.version)

    def remove_member(self, request: Request) -> Response[None]:
        """Removes a member of a lower rank from a room."""
        self._members.remove(request.caller, _room_id(request), _user_id(request))
        return Response.no_content()

    def list_messages(self, request: Request) -> Response[Page[MessageView]]:
        """Lists the messages of a room, newest first.

        With `afterSeq`, lists the messages with higher numbers, oldest first, so that a client can
        read the messages that it missed.
        """
        query = validate(MessagesQuery, request.query, from_text=True)
        return Response(body=self._messages.list_messages(request.caller, _room_id(request), query))

    def send_message(self, request: Request) -> Versioned[MessageView]:
        """Stores a message and sends it to the room's listeners.

        With `isAnonymous`, the message shows the alias of the author.
        """
        body = validate(SendMessage, request.json)
        key = request.header("Idempotency-Key")
        draft = Draft(
            content=body.content,
            type=body.type,
            reply_to=body.reply_to,
            is_anonymous=body.is_anonymous,
            attachments=body.attachments,
            # The router stores the response for the Idempotency-Key after this method returns. If
            # the function crashes before that, a repeated request runs this method again. It then
            # has the same `client_message_id`, so it does not store a second message.
            client_message_id=key and f"idempotency-key {key}",
        )
        stored = self._messages.store(request.caller, _room_id(request), draft)
        self._messages.announce(stored)
        message = stored.message
        request.anonymous = message.is_anonymous
        view = self._messages.view(request.caller, message)
        return Versioned(view, message.version, HTTPStatus.CREATED)

    def update_message(self, request: Request) -> Versioned[MessageView]:
        """Replaces the content of a message. Only the author can do this."""
        body = validate(EditMessage, request.json)
        message = self._messages.edit(
            request.caller,
            _room_id(request),
            _message_id(request),
            body.content,
            IfMatch.of(request),
        )
        return Versioned(message, message.version)

    def delete_message(self, request: Request) -> Response[None]:
        """Marks a message as deleted and removes its content.

        Authors and moderators can do this.
        """
        self._messages.delete(
            request.caller, _room_id(request), _message_id(request), IfMatch.of(request)
        )
        return Response.no_content()

    def add_reaction(self, request: Request) -> Response[None]:
        """Adds the caller's reaction to a message. `emoji` is one emoji of the Unicode standard."""
        validate(EmptyBody, request.json)
        return self._react(request, add=True)

    def remove_reaction(self, request: Request) -> Response[None]:
        """Removes the caller's reaction from a message."""
        return self._react(request, add=False)

    def create_attachment_upload(self, request: Request) -> Response[AttachmentForm]:
        """Returns a signed form for the upload, the upload's key, and the attachment's id.

        The form is valid for 5 minutes. After the upload, send a message that contains the key in
        `attachments`.
        """
        body = validate(CreateAttachment, request.json)
        room_id = _room_id(request)
        self._standings.find(request.caller, room_id).require_speaker()
        return Response.created(self._attachments.create(request.caller, room_id, body))

    def get_attachment(self, request: Request) -> Response[None]:
        """Redirects members to a signed URL of an attachment, which is valid for 60 seconds."""
        room_id = _room_id(request)
        self._standings.find(request.caller, room_id).require_member()
        url = self._attachments.sign_url(room_id, request.path_parameters["attachmentId"])
        return Response(HTTPStatus.FOUND, headers={"Location": url})

    def issue_ticket(self, request: Request) -> Response[TicketView]:
        """Issues a ticket that opens one connection to the WebSocket API within 30 seconds.

        If the response contains `reconnectSeconds`, a client that cannot connect waits for a random
        part of this time before its next attempt.
        """
        validate(EmptyBody, request.json)
        ticket = self._tickets.issue(request.caller, request.caller.display_name)
        return Response.created(
            TicketView(
                ticket=ticket,
                expires_in=LIFETIME,
                reconnect_seconds=self._reconnect_seconds or UNSET,
            )
        )

    def _react(self, request: Request, *, add: bool) -> Response[None]:
        emoji = request.path_parameters["emoji"]
        self._messages.react(
            request.caller, _room_id(request), _message_id(request), emoji, add=add
        )
        return Response.no_content()


def build(environ: Mapping[str, str]) -> Handler:
    settings = read(ChatSettings, environ)
    clients = Clients(settings.region)
    logger = create_logger(settings)
    gateway = ApiGateway(
        clients.session, settings.websocket_api_endpoint, logger, settings.aws_ca_bundle
    )
    cache = guarded_cache(read(CacheSettings, environ), clients.session)
    return wire(settings, clients, cache, gateway, logger)


def wire(
    settings: ChatSettings, clients: Clients, cache: GuardedCache, gateway: Gateway, logger: Logger
) -> Handler:
    dynamodb = clients.dynamodb
    tables = ChatTables(
        rooms=Table(dynamodb, settings.dynamodb_table_rooms),
        members=Table(dynamodb, settings.dynamodb_table_members),
        messages=Table(dynamodb, settings.dynamodb_table_messages),
        idempotency=Table(dynamodb, settings.dynamodb_table_idempotency),
    )
    transactions = Transactions(dynamodb)
    room_store = RoomStore(tables, transactions)
    message_store = MessageStore(tables, transactions)
    live, signals = LiveRooms(cache), Signals(cache)
    queues = DeliveryQueues(
        lambda: clients.sqs,
        settings.deliveries_queue_url,
        settings.delivery_retries_queue_url,
        logger,
        settings.room_parts,
    )
    audience = AudienceReader(Table(dynamodb, settings.dynamodb_table_sessions), tables.members)
    fanout = Fanout(gateway, live, audience, logger)
    broadcast = Broadcast(fanout, live, queues, logger, settings.signal_limit)
    people = People(
        ProfileReader(dynamodb, settings.dynamodb_table_profiles),
        AliasStore(dynamodb, settings.dynamodb_table_aliases),
    )
    outbox = OutboxWriter(settings.dynamodb_table_outbox, "chat", logger)
    cursors = Cursors(KeyRing(ParameterKeySource(clients.ssm, settings.cursor_key_parameter)))
    uploads = Uploads(
        lambda: clients.s3,
        settings.s3_bucket_attachments,
        "chat",
        types=ATTACHMENT_TYPES,
        limit=ATTACHMENT_LIMIT,
    )
    attachments = Attachments(
        uploads, message_store, lambda: clients.s3, settings.s3_bucket_attachments
    )
    standings = Standings(room_store)
    rooms = RoomService(
        rooms=room_store,
        standings=standings,
        people=people,
        broadcast=broadcast,
        outbox=outbox,
        cursors=cursors,
    )
    members = MemberService(
        members=MemberStore(tables, transactions),
        rooms=room_store,
        standings=standings,
        people=people,
        broadcast=broadcast,
        outbox=outbox,
        cursors=cursors,
    )
    messages = MessageService(
        rooms=room_store,
        messages=message_store,
        reactions=ReactionStore(tables, transactions),
        standings=standings,
        attachments=attachments,
        people=people,
        authors=AuthorStore(dynamodb, settings.dynamodb_table_authors),
        broadcast=broadcast,
        signals=signals,
        outbox=outbox,
        cursors=cursors,
        logger=logger,
    )
    frames = Frames(
        standings=standings,
        members=members,
        messages=messages,
        presence=Presence(people, broadcast, live, signals),
        broadcast=broadcast,
        live=live,
        gateway=gateway,
        sessions=SessionReader(dynamodb, settings.dynamodb_table_sessions),
        logger=logger,
    )
    api = ChatApi(
        standings=standings,
        rooms=rooms,
        members=members,
        messages=messages,
        attachments=attachments,
        tickets=TicketStore(dynamodb, settings.dynamodb_table_tickets),
        reconnect_seconds=settings.reconnect_seconds,
    )
    rest = create_router(settings, clients, ROUTES, api, logger)

    def handle(event: Event, context: object) -> dict[str, Any]:
        return (frames if "connectionId" in event["requestContext"] else rest)(event, context)

    return handle


def _room_id(request: Request) -> str:
    return request.path_parameters["roomId"]


def _user_id(request: Request) -> str:
    return request.path_parameters["userId"]


def _message_id(request: Request) -> str:
    return request.path_parameters["messageId"]


handler = entry_point(build)
