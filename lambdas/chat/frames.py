"""Handles the events of the WebSocket API: connects, disconnects and client frames.

A frame is one WebSocket message. The response to a client's frame is an `ack` or an `error`.
"""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import msgspec
from msgspec import structs

from lambdas.chat.broadcast import Broadcast
from lambdas.chat.member_logic import MemberService
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
from lambdas.chat.presence import Client, Presence
from lambdas.chat.standing import Standings
from lambdas.common.caller import CHAT_ANONYMOUS, USER, Caller
from lambdas.common.live.chat_messages import Frame
from lambdas.common.live.fanout import SESSION_ENDED, Gateway, Outcome
from lambdas.common.live.listeners import Connection, LiveRooms
from lambdas.common.logs import Logger
from lambdas.common.problems import Problem
from lambdas.common.storage.cache import CacheUnavailableError
from lambdas.common.validation import validate
from lambdas.common.web.access import Sessions, capability
from lambdas.common.web.http import Event
from lambdas.common.web.router import problem_of

CONNECT, DISCONNECT = "CONNECT", "DISCONNECT"
"""Values of `eventType`. The function does not rely on the route key, because a client can send a
frame with the action `$connect`."""

FRAME_LIMIT = 32 * 1024
MESSAGE_LIMIT = 128 * 1024
"""API Gateway's limits for a WebSocket frame and for a WebSocket message (RFC 6455), in bytes.

The protocol can split a message into several frames, but every client action fits into one frame.
API Gateway closes connections that exceed a limit. The function also checks the limits, because
other gateways do not (docs/api/differences.md)."""

_ACCEPTED = {"statusCode": int(HTTPStatus.OK)}
"""The result of every route. API Gateway requires a status for $connect.

The result has no body, because API Gateway would send a body to the client.
"""

_CHAT = capability(CHAT_ANONYMOUS)


class Frames:
    """The handler of all routes of the WebSocket API.

    A connection lasts up to two hours, longer than an access token is valid. After the token
    expires, frames are still accepted until the session ends. Roles above `user` apply only until
    the token expires, because nothing verifies them after that.
    """

    def __init__(
        self,
        *,
        standings: Standings,
        members: MemberService,
        messages: MessageService,
        presence: Presence,
        broadcast: Broadcast,
        live: LiveRooms,
        gateway: Gateway,
        sessions: Sessions,
        logger: Logger,
    ) -> None:
        self._standings = standings
        self._members = members
        self._messages = messages
        self._presence = presence
        self._broadcast = broadcast
        self._live = live
        self._gateway = gateway
        self._sessions = sessions
        self._logger = logger
        self._actions: dict[str, Callable[[Client, Any], Frame]] = {
            "join_room": self._join,
            "leave_room": self._leave,
            "typing_start": self._typing,
            "typing_stop": self._typing,
            "mark_read": self._mark_read,
            "ping": self._ping,
        }

    def __call__(self, event: Event, _context: object) -> dict[str, Any]:
        started = time.perf_counter()
        context = event["requestContext"]
        self._logger.set_correlation_id(context.get("requestId"))
        client = self._client(context)
        event_type = context["eventType"]
        outcome = "ok"
        if event_type == CONNECT:
            self._connect(client)
        elif event_type == DISCONNECT:
            self._disconnect(client)
        else:
            outcome = self._handle_frame(client, event.get("body") or "")
        self._logger.info(
            "frame",
            route=context["routeKey"],
            connection_id=context["connectionId"],
            outcome=outcome,
            caller=client.caller.kind,
            duration_ms=round((time.perf_counter() - started) * 1000, 1),
        )
        return _ACCEPTED

    def _client(self, context: Mapping[str, Any]) -> Client:
        authorizer = context["authorizer"]
        caller = structs.replace(
            Caller.from_context(authorizer), display_name=authorizer.get("displayName", "")
        )
        if caller.roles and caller.expires_at <= time.time():
            caller = structs.replace(caller, roles=frozenset({USER}))
        connection = Connection(
            context["connectionId"],
            caller.user_id,
            caller.session_id,
            visible=not caller.is_anonymous,
        )
        return Client(connection, caller)

    def _connect(self, client: Client) -> None:
        try:
            self._live.connect(client.connection)
        except CacheUnavailableError:
            self._logger.warning("connection not recorded: cache unavailable")

    def _disconnect(self, client: Client) -> None:
        try:
            self._presence.disconnect(client)
        except CacheUnavailableError:
            # The failure is harmless, because the connection's entries in the cache expire.
            self._logger.warning("connection not removed: cache unavailable")

    def _handle_frame(self, client: Client, body: str) -> str:
        """Handles one frame. Returns `ok`, or the code of the error that was sent to the client."""
        request_id: str | None = None
        size = len(body.encode(errors="surrogatepass"))
        try:
            if size > FRAME_LIMIT:
                raise _too_large()
            values = _parse(body)
            value = values.get("requestId")
            request_id = value if isinstance(value, str) else None
            action = _action(values)
            frame = validate(FRAMES[action], values)
            self._admit(client)
            if isinstance(frame, SendFrame):
                self._send(client, frame)
            else:
                fields = self._actions[action](client, frame)
                self._acknowledge(client, frame, fields).result()
        except Problem as error:
            problem = error
        except CacheUnavailableError:
            problem = _not_joined()
        except Exception as error:
            self._logger.exception("handling the frame failed")
            problem = problem_of(error)
        else:
            return "ok"
        self._refuse(client, request_id, problem)
        if problem.code == SESSION_ENDED or size > MESSAGE_LIMIT:
            self._disconnect(client)
            self._gateway.close(client.connection.connection_id)
        return problem.code

    def _admit(self, client: Client) -> None:
        """Raises Problem if the session has ended or the caller lacks permission to chat."""
        caller = client.caller
        if self._sessions.find(caller.session_id, caller.user_id) is None:
            raise Problem.unauthorized("The session has ended.", SESSION_ENDED)
        _CHAT.check(caller)

    def _refuse(self, client: Client, request_id: str | None, problem: Problem) -> None:
        frame: Frame = {
            "type": "error",
            "requestId": request_id,
            "code": problem.code,
            "message": problem.detail,
        }
        if problem.errors:
            frame["errors"] = [{"field": e.field, "message": e.message} for e in problem.errors]
        self._broadcast.send_to(client.connection, frame).result()

    def _acknowledge(self, client: Client, frame: ClientFrame, fields: Frame) -> "Future[Outcome]":
        """Starts to send the frame's `ack`."""
        ack: Frame = {"type": "ack", "requestId": frame.request_id, "action": frame.action}
        return self._broadcast.send_to(client.connection, {**ack, **fields})

    def _join(self, client: Client, frame: RoomFrame) -> Frame:
        """Adds the connection to the room's listeners, and the user to the members of an open room.

        The connection is added before the last message's number is read, so that it gets every
        later message. It is also added before membership is checked again, so that a concurrent
        removal evicts it. If a step fails, the connection is removed from the room.
        """
        self._members.join(self._standings.find(client.caller, frame.room_id))
        try:
            present = self._live.connections(frame.room_id)
            self._live.join(client.connection, frame.room_id)
        except CacheUnavailableError:
            raise Problem.unavailable(
                "Live delivery is unavailable. Join again shortly.", "live_unavailable"
            ) from None
        try:
            self._standings.find(client.caller, frame.room_id).require_member()
            seq = self._messages.find_last_seq(frame.room_id)
            online = self._presence.announce_online(client, frame.room_id, present)
        except Exception:
            self._presence.leave(client, frame.room_id)
            raise
        return {"roomId": frame.room_id, "seq": seq, "online": online}

    def _leave(self, client: Client, frame: RoomFrame) -> Frame:
        """Removes the connection from the room's listeners. The user remains a member."""
        self._require_joined(client, frame.room_id)
        self._presence.leave(client, frame.room_id)
        return {"roomId": frame.room_id}

    def _send(self, client: Client, frame: SendFrame) -> None:
        """Stores the message, acknowledges it, and sends it to the room's listeners.

        The acknowledgement and the frames to the listeners are sent in parallel.
        """
        # Storing a message needs only the tables, so it works even if the cache is down.
        with suppress(CacheUnavailableError):
            self._require_joined(client, frame.room_id)
        draft = Draft(
            content=frame.content,
            reply_to=frame.reply_to,
            is_anonymous=frame.is_anonymous,
            client_message_id=frame.client_message_id,
        )
        stored = self._messages.store(client.caller, frame.room_id, draft)
        message = stored.message
        fields: Frame = {
            "roomId": message.room_id,
            "messageId": message.message_id,
            "seq": message.seq,
            "timestamp": message.timestamp,
        }
        ack = self._acknowledge(client, frame, fields)
        self._messages.announce(stored)
        ack.result()

    def _typing(self, client: Client, frame: TypingFrame) -> Frame:
        self._require_joined(client, frame.room_id)
        self._standings.find(client.caller, frame.room_id).require_speaker()
        if not frame.is_anonymous:
            started = frame.action == "typing_start"
            self._presence.announce_typing(client, frame.room_id, started=started)
        return {"roomId": frame.room_id}

    def _mark_read(self, client: Client, frame: ReadFrame) -> Frame:
        self._require_joined(client, frame.room_id)
        self._standings.find(client.caller, frame.room_id).require_member()
        seq = min(frame.seq, self._messages.find_last_seq(frame.room_id))
        self._presence.announce_read(client, frame.room_id, seq)
        return {"roomId": frame.room_id, "seq": seq}

    def _ping(self, client: Client, frame: PingFrame) -> Frame:
        """Extends the connection's entry in the cache.

        If the cache has lost the entry, the connection is in no room. A `resync` frame then tells
        the client to join its rooms again.
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


def _too_large() -> Problem:
    return Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "frame_too_large",
        f"The frame is too large: send at most {FRAME_LIMIT} bytes.",
    )


def _not_joined() -> Problem:
    return Problem.conflict(
        "This connection is not in the room. Join the room again.", "not_joined"
    )
