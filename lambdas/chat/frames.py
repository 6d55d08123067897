"""The WebSocket API: connections that come and go, and the frames of clients, each answered by an `ack` or an `error`."""

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
"""What every route returns: a status, which $connect is held to, and no body, which would be sent to the client."""

_CHAT = capability(CHAT_ANONYMOUS)


class Sessions(Protocol):
    """Knows which sessions are alive."""

    def find(self, session_id: str, user_id: str) -> ActiveSession | None: ...


class Client:
    """The connection a frame came through, with whom it speaks for."""

    def __init__(self, connection: Connection, caller: Caller) -> None:
        self.connection = connection
        self.caller = caller


class Frames:
    """The handler of all routes of the WebSocket API.

    A connection speaks for the session whose ticket opened it, for as long as that session lives: an access token's few minutes end
    long before a connection's two hours. Roles beyond a registered user's end with the token, since nothing says later that they
    are still held.
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
                self._tell_offline(client, room_id)
        except CacheUnavailableError:
            self._logger.warning("disconnected without the cache")  # its time ends by itself

    def _message(self, client: Client, body: str) -> str:
        """Answers one frame; gives the outcome, `ok` or the error's code."""
        request_id: str | None = None
        try:
            values = _parse(body)
            given = values.get("requestId")
            request_id = given if isinstance(given, str) else None
            action = _action(values)
            frame = validate(FRAMES[action], values)
            self._admit(client)
            if isinstance(frame, SendFrame):
                self._send(client, frame)
                return "ok"
            answer = self._actions[action](client, frame)
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
        self._acknowledge(client, frame, answer).result()
        return "ok"

    def _admit(self, client: Client) -> None:
        """Raises Problem, and ends the connection, when its session has ended."""
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
        self._broadcast.answer(client.connection, frame).result()
        if problem.code == _SESSION_ENDED:
            self._disconnect(client)
            self._gateway.close(client.connection.connection_id)
        return problem.code

    def _acknowledge(self, client: Client, frame: ClientFrame, answer: Frame) -> Any:
        ack: Frame = {
            "type": "ack",
            "requestId": frame.request_id,
            "action": frame.action,
            **answer,
        }
        return self._broadcast.answer(client.connection, ack)

    def _join(self, client: Client, frame: RoomFrame) -> Frame:
        """Listens to the room, and joins it first where that takes no invitation.

        The connection is in the room before the room's last number is read: what is sent after that number reaches it. And it is in
        the room before membership is looked at for the last time: whoever ends that membership takes it out again. Where this fails it
        is in the room no more, as its client takes it to be.
        """
        place = self._rooms.place(client.caller, frame.room_id)
        self._rooms.join_as(place)
        try:
            present = self._live.connections(frame.room_id)
            self._live.join(client.connection, frame.room_id)
        except CacheUnavailableError:
            raise Problem.unavailable(
                "Live delivery is down: join again shortly.", "live_unavailable"
            ) from None
        try:
            if self._rooms.place(client.caller, frame.room_id).membership is None:
                raise Problem.forbidden("Only members of the room may do this.", "not_a_member")
            seq = self._messages.head(frame.room_id)
            online = self._tell_online(client, frame.room_id, present)
        except Exception:
            self._go(client, frame.room_id)
            raise
        return {"roomId": frame.room_id, "seq": seq, "online": online}

    def _leave(self, client: Client, frame: RoomFrame) -> Frame:
        """Stops listening; membership stays."""
        self._require_joined(client, frame.room_id)
        self._go(client, frame.room_id)
        return {"roomId": frame.room_id}

    def _send(self, client: Client, frame: SendFrame) -> None:
        with suppress(
            CacheUnavailableError
        ):  # who may write is in the tables, and so is what they write
            self._require_joined(client, frame.room_id)
        answered: list[Any] = []
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
            lambda message: answered.append(
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
        for answer in answered:
            answer.result()

    def _typing(self, client: Client, frame: TypingFrame) -> Frame:
        self._require_joined(client, frame.room_id)
        self._rooms.place(client.caller, frame.room_id).speak()
        started = frame.action == "typing_start"
        if (
            not frame.is_anonymous
            and not self._unseen(client, frame.room_id)
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
            self._broadcast.signal(frame.room_id, signal, but=client.connection)
        return {"roomId": frame.room_id}

    def _mark_read(self, client: Client, frame: ReadFrame) -> Frame:
        self._require_joined(client, frame.room_id)
        self._rooms.place(client.caller, frame.room_id).member()
        seq = min(frame.seq, self._messages.head(frame.room_id))
        user_id = client.caller.user_id
        if (
            not self._unseen(client, frame.room_id)
            and self._signals.read(frame.room_id, user_id, seq)
            and self._people.shows_reading(user_id)
        ):
            signal: Frame = {"type": "read", "roomId": frame.room_id, "userId": user_id, "seq": seq}
            self._broadcast.signal(frame.room_id, signal, but=client.connection)
        return {"roomId": frame.room_id, "seq": seq}

    def _ping(self, client: Client, frame: PingFrame) -> Frame:
        """Keeps the connection known. Where the cache has lost it, its client learns that it is in no room any more."""
        try:
            known = self._live.touch(client.connection)
            if not known:
                self._live.connect(client.connection)
        except CacheUnavailableError:
            return {}
        if frame.room_id is not None:
            self._require_joined(client, frame.room_id)
        if not known:
            self._broadcast.answer(client.connection, {"type": "resync"}).result()
        return {}

    def _require_joined(self, client: Client, room_id: str) -> None:
        if not self._live.is_in(client.connection, room_id):
            raise _not_joined()

    def _unseen(self, client: Client, room_id: str) -> bool:
        return client.caller.is_anonymous or self._signals.hidden(room_id, client.caller.user_id)

    def _tell_online(
        self, client: Client, room_id: str, present: Collection[Connection]
    ) -> list[str]:
        """Tells a room that a user has come, with their first connection: those in it whom the user lets know.

        Gives who is online, as far as the user may know it. `present` are the connections before theirs.
        """
        user_id = client.caller.user_id
        own = [user_id] if client.connection.visible else []
        others = sorted({c.user_id for c in present if c.visible} - {user_id})
        audiences = self._people.online([*own, *others[:INLINE_LIMIT]])
        first = all(c.user_id != user_id for c in present)
        if first:
            self._signals.went(room_id, user_id)  # of whatever ended without a word
        self._signals.came(room_id, audiences)
        if first and own:
            self._tell_presence(client, room_id, "online", audiences[user_id])
        return sorted(
            found
            for found, audience in audiences.items()
            if may_see(audience, found, client.caller)
        )

    def _tell_offline(self, client: Client, room_id: str) -> None:
        """Tells a room that a user has gone, with their last connection: those who were told that they had come, whatever the user lets
        them know by now."""
        user_id = client.caller.user_id
        if all(c.user_id != user_id for c in self._live.connections(room_id)):
            self._tell_presence(client, room_id, "offline", self._signals.went(room_id, user_id))

    def _go(self, client: Client, room_id: str) -> None:
        self._live.leave(client.connection, room_id)
        self._tell_offline(client, room_id)

    def _tell_presence(
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
            room_id, frame, but=client.connection, registered_only=audience != "public"
        )


_SESSION_ENDED = "session_ended"


def _parse(body: str) -> dict[str, Any]:
    try:
        values = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise Problem.bad_request("A frame is a JSON object.", "malformed_json")
    return values


def _action(values: Mapping[str, Any]) -> str:
    action = values.get("action")
    if not isinstance(action, str) or action not in FRAMES:
        raise Problem.bad_request(f"The action is one of {', '.join(FRAMES)}.", "unknown_action")
    return action


def _not_joined() -> Problem:
    return Problem.conflict("This connection is not in that room: join it again.", "not_joined")
