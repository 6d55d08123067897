"""The WebSocket API: handles connects, disconnects and client frames.

Every frame gets an `ack` or an `error`.
"""

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from http import HTTPStatus
from time import perf_counter
from typing import Any, Protocol

import msgspec
from msgspec import structs

from lambdas.chat.broadcast import INLINE_LIMIT, Broadcast
from lambdas.chat.message_logic import Draft, MessageService
from lambdas.chat.models import (
    FRAMES,
    ClientFrame,
    PingFrame,
    ReadFrame,
    RoomFrame,
    SendFrame,
    TypingFrame,
)
from lambdas.chat.people import People
from lambdas.chat.room_logic import RoomService
from lambdas.chat.signals import TYPING_LIFETIME, Signals
from lambdas.common.caller import CHAT_ANONYMOUS, USER, Caller
from lambdas.common.clock import SYSTEM_CLOCK, Clock
from lambdas.common.live.chat_messages import Frame
from lambdas.common.live.fanout import Gateway
from lambdas.common.live.listeners import Connection, LiveRooms
from lambdas.common.logs import Logger
from lambdas.common.people.profiles import Visibility, may_see
from lambdas.common.problems import Problem
from lambdas.common.storage.cache import CacheUnavailableError
from lambdas.common.validation import validate
from lambdas.common.web.access import capability
from lambdas.common.web.http import Event
from lambdas.common.web.router import is_outage
from lambdas.common.web.sessions import ActiveSession

CONNECT, DISCONNECT = "$connect", "$disconnect"

_ACCEPTED = {"statusCode": int(HTTPStatus.OK)}
"""The result of every route. $connect needs a status; a body would be sent to the client."""

_CHAT = capability(CHAT_ANONYMOUS)


class Sessions(Protocol):
    """Finds active sessions."""

    def find(self, session_id: str, user_id: str) -> ActiveSession | None: ...


class Client:
    """The connection of a frame, and the caller that it authenticates."""

    def __init__(self, connection: Connection, caller: Caller) -> None:
        self.connection = connection
        self.caller = caller


class Frames:
    """The handler of all routes of the WebSocket API.

    A connection acts for the session whose ticket opened it until that session ends, because an
    access token expires long before a connection's two hours do. Roles above `user` expire with
    the token, because they cannot be verified later.
    """

    def __init__(
        self,
        *,
        rooms: RoomService,
        messages: MessageService,
        people: People,
        broadcast: Broadcast,
        live: LiveRooms,
        signals: Signals,
        gateway: Gateway,
        sessions: Sessions,
        logger: Logger,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._rooms = rooms
        self._messages = messages
        self._people = people
        self._broadcast = broadcast
        self._live = live
        self._signals = signals
        self._gateway = gateway
        self._sessions = sessions
        self._logger = logger
        self._clock = clock
        self._actions: dict[str, Callable[[Client, Any], Frame]] = {
            "join_room": self._join,
            "leave_room": self._leave,
            "typing_start": self._typing,
            "typing_stop": self._typing,
            "mark_read": self._mark_read,
            "ping": self._ping,
        }

    def __call__(self, event: Event, _context: object) -> dict[str, Any]:
        started = perf_counter()
        context = event["requestContext"]
        self._logger.set_correlation_id(context.get("requestId"))
        client = self._client(context)
        route = context["routeKey"]
        outcome = "ok"
        if route == CONNECT:
            self._connect(client)
        elif route == DISCONNECT:
            self._disconnect(client)
        else:
            outcome = self._message(client, event.get("body") or "")
        self._logger.info(
            "frame",
            route=route,
            connection_id=context["connectionId"],
            outcome=outcome,
            duration_ms=round((perf_counter() - started) * 1000, 1),
        )
        return _ACCEPTED

    def _client(self, context: Mapping[str, Any]) -> Client:
        authorizer = context["authorizer"]
        caller = structs.replace(
            Caller.from_context(authorizer), display_name=authorizer.get("displayName", "")
        )
        if caller.roles and caller.expires_at <= self._clock():
            caller = structs.replace(caller, roles=frozenset({USER}))
        connection = Connection(
            context["connectionId"], caller.user_id, visible=not caller.is_anonymous
        )
        return Client(connection, caller)

    def _connect(self, client: Client) -> None:
        try:
            self._live.connect(client.connection)
        except CacheUnavailableError:
            self._logger.warning("connected without the cache")

    def _disconnect(self, client: Client) -> None:
        try:
            for room_id in self._live.disconnect(client.connection):
                self._announce_offline(client, room_id)
        except CacheUnavailableError:
            # The connection's entry in the cache expires by itself.
            self._logger.warning("disconnected without the cache")

    def _message(self, client: Client, body: str) -> str:
        """Handles one frame. Returns the outcome: `ok` or the error's code."""
        request_id: str | None = None
        try:
            values = _parse(body)
            value = values.get("requestId")
            request_id = value if isinstance(value, str) else None
            action = _action(values)
            frame = validate(FRAMES[action], values)
            self._admit(client)
            if isinstance(frame, SendFrame):
                self._send(client, frame)
                return "ok"
            fields = self._actions[action](client, frame)
        except Problem as problem:
            return self._refuse(client, request_id, problem)
        except CacheUnavailableError:
            return self._refuse(client, request_id, _not_joined())
        except Exception as error:
            self._logger.exception("the frame failed")
            return self._refuse(
                client,
                request_id,
                Problem.unavailable() if is_outage(error) else Problem.internal(),
            )
        self._acknowledge(client, frame, fields).result()
        return "ok"

    def _admit(self, client: Client) -> None:
        """Raises Problem if the session has ended or the caller may not chat."""
        caller = client.caller
        if self._sessions.find(caller.session_id, caller.user_id) is None:
            raise Problem.unauthorized("The session has ended.", _SESSION_ENDED)
        _CHAT.check(caller)

    def _refuse(self, client: Client, request_id: str | None, problem: Problem) -> str:
        frame: Frame = {
            "type": "error",
            "requestId": request_id,
            "code": problem.code,
            "message": problem.detail,
        }
        if problem.errors:
            frame["errors"] = [{"field": e.field, "message": e.message} for e in problem.errors]
        self._broadcast.send_to(client.connection, frame).result()
        if problem.code == _SESSION_ENDED:
            self._disconnect(client)
            self._gateway.close(client.connection.connection_id)
        return problem.code

    def _acknowledge(self, client: Client, frame: ClientFrame, fields: Frame) -> Any:
        ack: Frame = {
            "type": "ack",
            "requestId": frame.request_id,
            "action": frame.action,
            **fields,
        }
        return self._broadcast.send_to(client.connection, ack)

    def _join(self, client: Client, frame: RoomFrame) -> Frame:
        """Adds the connection to the room's listeners, and joins an open room first.

        The connection is added before the last message's number is read, so that it gets every
        later message. It is also added before membership is checked again, so that a concurrent
        removal evicts it. If a step fails, the connection is removed, as its client expects.
        """
        standing = self._rooms.standing(client.caller, frame.room_id)
        self._rooms.join_as(standing)
        try:
            present = self._live.connections(frame.room_id)
            self._live.join(client.connection, frame.room_id)
        except CacheUnavailableError:
            raise Problem.unavailable(
                "Live delivery is unavailable. Join again shortly.", "live_unavailable"
            ) from None
        try:
            if self._rooms.standing(client.caller, frame.room_id).membership is None:
                raise Problem.forbidden("Only members of the room can do this.", "not_a_member")
            seq = self._messages.head(frame.room_id)
            online = self._announce_online(client, frame.room_id, present)
        except Exception:
            self._leave_live(client, frame.room_id)
            raise
        return {"roomId": frame.room_id, "seq": seq, "online": online}

    def _leave(self, client: Client, frame: RoomFrame) -> Frame:
        """Removes the connection from the room's listeners. The membership stays."""
        self._require_joined(client, frame.room_id)
        self._leave_live(client, frame.room_id)
        return {"roomId": frame.room_id}

    def _send(self, client: Client, frame: SendFrame) -> None:
        # Sending needs only the tables, so it works without the cache.
        with suppress(CacheUnavailableError):
            self._require_joined(client, frame.room_id)
        acks: list[Any] = []
        draft = Draft(
            content=frame.content,
            reply_to=frame.reply_to,
            is_anonymous=frame.is_anonymous,
            client_message_id=frame.client_message_id,
        )
        self._messages.send(
            client.caller,
            frame.room_id,
            draft,
            lambda message: acks.append(
                self._acknowledge(
                    client,
                    frame,
                    {
                        "roomId": message.room_id,
                        "messageId": message.message_id,
                        "seq": message.seq,
                        "timestamp": message.timestamp,
                    },
                )
            ),
        )
        for ack in acks:
            ack.result()

    def _typing(self, client: Client, frame: TypingFrame) -> Frame:
        self._require_joined(client, frame.room_id)
        self._rooms.standing(client.caller, frame.room_id).require_speaker()
        started = frame.action == "typing_start"
        if (
            not frame.is_anonymous
            and not self._is_hidden(client, frame.room_id)
            and self._signals.typing(frame.room_id, client.caller.user_id, started=started)
        ):
            signal: Frame = {
                "type": "typing",
                "roomId": frame.room_id,
                "userId": client.caller.user_id,
                "displayName": self._people.public_name(client.caller),
                "isTyping": started,
            }
            if started:
                signal["expiresIn"] = TYPING_LIFETIME
            self._broadcast.signal(frame.room_id, signal, exclude=client.connection)
        return {"roomId": frame.room_id}

    def _mark_read(self, client: Client, frame: ReadFrame) -> Frame:
        self._require_joined(client, frame.room_id)
        self._rooms.standing(client.caller, frame.room_id).require_member()
        seq = min(frame.seq, self._messages.head(frame.room_id))
        user_id = client.caller.user_id
        if (
            not self._is_hidden(client, frame.room_id)
            and self._signals.read(frame.room_id, user_id, seq)
            and self._people.shows_reading(user_id)
        ):
            signal: Frame = {"type": "read", "roomId": frame.room_id, "userId": user_id, "seq": seq}
            self._broadcast.signal(frame.room_id, signal, exclude=client.connection)
        return {"roomId": frame.room_id, "seq": seq}

    def _ping(self, client: Client, frame: PingFrame) -> Frame:
        """Extends the connection's entry in the cache.

        If the cache has lost the entry, sends `resync`: the connection is not in any room.
        """
        try:
            known = self._live.touch(client.connection)
            if not known:
                self._live.connect(client.connection)
        except CacheUnavailableError:
            return {}
        if frame.room_id is not None:
            self._require_joined(client, frame.room_id)
        if not known:
            self._broadcast.send_to(client.connection, {"type": "resync"}).result()
        return {}

    def _require_joined(self, client: Client, room_id: str) -> None:
        if not self._live.is_in(client.connection, room_id):
            raise _not_joined()

    def _is_hidden(self, client: Client, room_id: str) -> bool:
        return client.caller.is_anonymous or self._signals.hidden(room_id, client.caller.user_id)

    def _announce_online(
        self, client: Client, room_id: str, present: Collection[Connection]
    ) -> list[str]:
        """Announces a user's first connection to the listeners who may see that they are online.

        Returns the ids of the online users that this user may see. `present` are the connections
        that were in the room before this one.
        """
        user_id = client.caller.user_id
        own = [user_id] if client.connection.visible else []
        others = sorted({c.user_id for c in present if c.visible} - {user_id})
        audiences = self._people.online([*own, *others[:INLINE_LIMIT]])
        is_first = all(c.user_id != user_id for c in present)
        if is_first:
            # Connections can end without a disconnect event.
            self._signals.clear_online(room_id, user_id)
        self._signals.record_online(room_id, audiences)
        if is_first and own:
            self._send_presence(client, room_id, "online", audiences[user_id])
        return sorted(
            online_id
            for online_id, audience in audiences.items()
            if may_see(audience, online_id, client.caller)
        )

    def _announce_offline(self, client: Client, room_id: str) -> None:
        """Announces the end of a user's last connection in a room.

        It goes to the audience that was told that the user is online, even if the user has
        changed the visibility since.
        """
        user_id = client.caller.user_id
        if all(c.user_id != user_id for c in self._live.connections(room_id)):
            self._send_presence(
                client, room_id, "offline", self._signals.clear_online(room_id, user_id)
            )

    def _leave_live(self, client: Client, room_id: str) -> None:
        self._live.leave(client.connection, room_id)
        self._announce_offline(client, room_id)

    def _send_presence(
        self, client: Client, room_id: str, status: str, audience: Visibility
    ) -> None:
        if audience == "private":
            return
        frame: Frame = {
            "type": "presence",
            "roomId": room_id,
            "userId": client.caller.user_id,
            "status": status,
        }
        self._broadcast.signal(
            room_id, frame, exclude=client.connection, registered_only=audience != "public"
        )


_SESSION_ENDED = "session_ended"


def _parse(body: str) -> dict[str, Any]:
    try:
        values = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise Problem.bad_request("A frame must be a JSON object.", "malformed_json")
    return values


def _action(values: Mapping[str, Any]) -> str:
    action = values.get("action")
    if not isinstance(action, str) or action not in FRAMES:
        raise Problem.bad_request(
            f"The action must be one of {', '.join(FRAMES)}.", "unknown_action"
        )
    return action


def _not_joined() -> Problem:
    return Problem.conflict(
        "This connection is not in the room. Join the room again.", "not_joined"
    )
