"""Sends a room the frames that show who is online, who is typing and how far users have read."""

from collections.abc import Collection

from msgspec import Struct

from lambdas.chat.broadcast import INLINE_LIMIT, Broadcast
from lambdas.chat.people import People
from lambdas.chat.signals import TYPING_LIFETIME, Signals
from lambdas.common.caller import Caller
from lambdas.common.live.chat_messages import Frame
from lambdas.common.live.listeners import Connection, LiveRooms
from lambdas.common.people.profiles import Visibility, may_see


class Client(Struct, frozen=True):
    """A WebSocket connection and its authenticated caller."""

    connection: Connection
    caller: Caller


class Presence:
    """Records the activity of users in rooms, and sends it to the other connections.

    Every method may raise CacheUnavailableError.
    """

    def __init__(
        self, people: People, broadcast: Broadcast, live: LiveRooms, signals: Signals
    ) -> None:
        self._people = people
        self._broadcast = broadcast
        self._live = live
        self._signals = signals

    def announce_online(
        self, client: Client, room_id: str, present: Collection[Connection]
    ) -> list[str]:
        """Notifies the room that the user is online if this is the user's only connection in it.

        Returns the ids of the online users whose status the user may see, including the user's own.
        Checks at most INLINE_LIMIT other users. `present` contains the connections that were in the
        room before this one.
        """
        user_id = client.caller.user_id
        own = [user_id] if client.connection.visible else []
        others = sorted({c.user_id for c in present if c.visible} - {user_id})
        audiences = self._people.read_online_audiences([*own, *others[:INLINE_LIMIT]])
        is_first = all(c.user_id != user_id for c in present)
        if is_first:
            # If the disconnect event of the user's earlier connection was lost, the cache still
            # contains the audience of that connection's presence frames. `record_online` never
            # reduces a stored audience, so the earlier audience is deleted first.
            self._signals.clear_online(room_id, user_id)
        self._signals.record_online(room_id, audiences)
        if is_first and own:
            self._announce_status(client, room_id, "online", audiences[user_id])
        return sorted(
            online_id
            for online_id, audience in audiences.items()
            if may_see(audience, online_id, client.caller)
        )

    def leave(self, client: Client, room_id: str) -> None:
        """Removes the connection from the room's listeners."""
        self._live.leave(client.connection, room_id)
        self._announce_offline(client, room_id)

    def disconnect(self, client: Client) -> None:
        """Removes the connection from all its rooms."""
        for room_id in self._live.disconnect(client.connection):
            self._announce_offline(client, room_id)

    def announce_typing(self, client: Client, room_id: str, *, started: bool) -> None:
        if self._is_hidden(client, room_id) or not self._signals.record_typing(
            room_id, client.caller.user_id, started=started
        ):
            return
        frame: Frame = {
            "type": "typing",
            "roomId": room_id,
            "userId": client.caller.user_id,
            "displayName": self._people.public_name(client.caller),
            "isTyping": started,
        }
        if started:
            frame["expiresIn"] = TYPING_LIFETIME
        self._broadcast.signal(room_id, frame, exclude=client.connection)

    def announce_read(self, client: Client, room_id: str, seq: int) -> None:
        """Notifies the room that the user has read up to `seq`.

        Does nothing if the user does not share read receipts, if the user is anonymous or has
        recently sent an anonymous message to the room, or if this `seq` or a higher one was
        recorded before.
        """
        user_id = client.caller.user_id
        if (
            not self._is_hidden(client, room_id)
            and self._signals.record_read(room_id, user_id, seq)
            and self._people.shares_read_receipts(user_id)
        ):
            frame: Frame = {"type": "read", "roomId": room_id, "userId": user_id, "seq": seq}
            self._broadcast.signal(room_id, frame, exclude=client.connection)

    def _is_hidden(self, client: Client, room_id: str) -> bool:
        return client.caller.is_anonymous or self._signals.is_hidden(room_id, client.caller.user_id)

    def _announce_offline(self, client: Client, room_id: str) -> None:
        """Notifies the room that the user is offline if no connection of the user remains in it.

        The audience is the one that could see that the user was online, even if the user's
        visibility has changed since.
        """
        user_id = client.caller.user_id
        if all(c.user_id != user_id for c in self._live.connections(room_id)):
            audience = self._signals.clear_online(room_id, user_id)
            self._announce_status(client, room_id, "offline", audience)

    def _announce_status(
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
