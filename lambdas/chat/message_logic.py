"""The rules for messages, independent of HTTP events and WebSocket frames."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec
from msgspec import Struct

from lambdas.chat.attachments import Attachments, attachment_used
from lambdas.chat.broadcast import Broadcast
from lambdas.chat.emojis import canonical
from lambdas.chat.messages import (
    AttachmentUsedError,
    MessageStore,
    RepeatedError,
)
from lambdas.chat.models import MessagesQuery
from lambdas.chat.people import Author, People
from lambdas.chat.reactions import ReactionStore, TooManyReactionsError
from lambdas.chat.records import MODERATOR, RANKS, ChangedError
from lambdas.chat.rooms import RoomStore
from lambdas.chat.signals import Signals
from lambdas.chat.standing import Standings, room_not_found
from lambdas.common.caller import Caller
from lambdas.common.live.chat_messages import (
    FIRST_VERSION,
    Frame,
    Message,
    MessageView,
    message_id,
)
from lambdas.common.live.fanout import Delivery
from lambdas.common.logs import Logger
from lambdas.common.messaging.outbox import OutboxWriter
from lambdas.common.people.authors import AuthorStore
from lambdas.common.people.profiles import UNKNOWN_NAME
from lambdas.common.problems import FieldError, Problem
from lambdas.common.storage.cache import CacheUnavailableError
from lambdas.common.storage.dynamodb import Entry
from lambdas.common.web.pagination import Cursors, Page
from lambdas.common.web.preconditions import IfMatch, repeat_if_changed


class Draft(Struct, frozen=True, kw_only=True):
    """A message to send.

    `attachments` are upload keys. A second draft with the same `client_message_id` is a repeat.
    """

    content: str
    type: str = "text"
    reply_to: str | None = None
    is_anonymous: bool = False
    attachments: Sequence[str] = ()
    client_message_id: str | None = None


class StoredMessage(Struct, frozen=True):
    """A stored message of the user `sender_id`, ready to be sent to the room's listeners.

    `stored_at` is in seconds since the epoch. `is_repeat` is True if an earlier call stored the
    message.
    """

    message: Message
    sender_id: str
    stored_at: float
    is_repeat: bool = False


class MessageService:
    """The message operations of the API (docs/api/chat.md). Methods raise Problem."""

    def __init__(
        self,
        *,
        rooms: RoomStore,
        messages: MessageStore,
        reactions: ReactionStore,
        standings: Standings,
        attachments: Attachments,
        people: People,
        authors: AuthorStore,
        broadcast: Broadcast,
        signals: Signals,
        outbox: OutboxWriter,
        cursors: Cursors,
        logger: Logger,
    ) -> None:
        self._rooms = rooms
        self._messages = messages
        self._reactions = reactions
        self._standings = standings
        self._attachments = attachments
        self._people = people
        self._authors = authors
        self._broadcast = broadcast
        self._signals = signals
        self._outbox = outbox
        self._cursors = cursors
        self._logger = logger

    def store(self, caller: Caller, room_id: str, draft: Draft) -> StoredMessage:
        """Stores a message, only once per `client_message_id`. Call `announce` to send it.

        `store` and `announce` are separate so that the sender can receive an acknowledgement before
        listeners receive the message.
        """
        standing, head = self._standings.find_to_send(caller, room_id)
        standing.require_speaker()
        if draft.reply_to is not None and self._messages.find(room_id, draft.reply_to) is None:
            raise Problem.invalid(
                [FieldError("replyTo", "must be the id of a message of this room")]
            )
        repeat_key = _repeat_key(caller, room_id, draft.client_message_id)
        # The attachments of a repeated message already belong to the stored message, so claiming
        # them again would fail.
        if draft.attachments and repeat_key and (first := self._messages.find_repeated(repeat_key)):
            return StoredMessage(first, caller.user_id, time.time(), is_repeat=True)
        author = self._people.find_author(caller, room_id, anonymous=draft.is_anonymous)
        attachments = self._attachments.claim(caller, room_id, draft.attachments)

        def create_message(seq: int, timestamp: str) -> Message:
            return Message(
                message_id=message_id(room_id, seq),
                room_id=room_id,
                seq=seq,
                timestamp=timestamp,
                author_id=author.user_id,
                alias_id=author.alias_id,
                author_name=author.name,
                content=draft.content,
                type=draft.type,
                reply_to=draft.reply_to,
                is_anonymous=author.user_id is None,
                attachments=tuple(attachment for attachment, _ in attachments),
                version=FIRST_VERSION,
            )

        try:
            message = self._messages.append(
                room_id,
                head,
                create_message,
                lambda message: self._extra_entries(caller, author, message),
                repeat_key=repeat_key,
                attachments=attachments,
                find_head=self._rooms.find_head,
            )
        except RepeatedError as repeated:
            self._attachments.discard(attachments)
            return StoredMessage(repeated.message, caller.user_id, time.time(), is_repeat=True)
        except (AttachmentUsedError, ChangedError) as error:
            self._attachments.discard(attachments)
            if isinstance(error, ChangedError):
                raise room_not_found() from None
            raise attachment_used() from None
        return StoredMessage(message, caller.user_id, time.time())

    def announce(self, stored: StoredMessage) -> None:
        """Sends a stored message to the room's listeners. Does nothing for a repeat.

        Logs errors and does not raise them, because the message is already stored. The delivery
        function later sends messages that this method could not send.
        """
        if stored.is_repeat:
            return
        try:
            if stored.message.is_anonymous:
                self._hide_signals(stored.message.room_id, stored.sender_id)
            self._deliver(stored.message)
        except Exception:
            self._logger.exception("message not announced; the delivery function will send it")
            return
        # Logging the room or the message would reveal the authors of anonymous messages.
        self._logger.info(
            "message announced",
            stored_at=round(stored.stored_at, 4),
            fanout_ms=round((time.time() - stored.stored_at) * 1000, 1),
        )

    def view(self, caller: Caller, message: Message) -> MessageView:
        """Returns a sent message as its sender sees it. Omits the counts of reactions."""
        [name] = self._people.author_names([message], caller)
        return message.view(name)

    def list_messages(
        self, caller: Caller, room_id: str, query: MessagesQuery
    ) -> Page[MessageView]:
        self._standings.find(caller, room_id).require_reader()
        scope = f"chat-messages {room_id}"
        position = self._cursors.position(query, scope)
        if query.after_seq is not None:
            head = self._rooms.find_head(room_id)
            after = query.after_seq if position is None else position
            messages = self._messages.list_after(
                room_id, after, head.seq if head else 0, query.limit
            )
            has_more = bool(messages) and head is not None and messages[-1].seq < head.seq
            next_position: Any = messages[-1].seq if has_more else None
        else:
            messages = self._messages.list_before(room_id, position, query.limit + 1)
            has_more = len(messages) > query.limit
            messages = messages[: query.limit]
            next_position = messages[-1].timestamp if has_more else None
        reactions = self._reactions.read_counts([message.message_id for message in messages])
        names = self._people.author_names(messages, caller)
        views = [
            message.view(name, reactions[message.message_id])
            for message, name in zip(messages, names, strict=True)
        ]
        return self._cursors.page(views, query, scope, next_position)

    @repeat_if_changed(ChangedError)
    def edit(
        self, caller: Caller, room_id: str, id_: str, content: str, if_match: IfMatch
    ) -> MessageView:
        """Replaces the content of the caller's message. Equal content changes nothing."""
        self._standings.find(caller, room_id).require_speaker()
        message = self._find_existing(room_id, id_)
        if not self._is_author(caller, message):
            raise Problem.forbidden("Only the author can edit a message.", "not_the_author")
        if_match.check(message.version)
        edited = message
        if content != message.content:
            edited = self._messages.edit(message, content)
            self._deliver(edited)
        [name] = self._people.author_names([edited], caller)
        return edited.view(name, self._reactions.read_counts([id_], consistent=True)[id_])

    @repeat_if_changed(ChangedError)
    def delete(self, caller: Caller, room_id: str, id_: str, if_match: IfMatch) -> None:
        """Deletes a message. Moderators can delete all messages, authors only their own.

        Authors can delete their messages even after leaving the room."""
        standing = self._standings.find(caller, room_id)
        message = self._messages.find(room_id, id_)
        if standing.rank < RANKS[MODERATOR] and not (message and self._is_author(caller, message)):
            standing.require_member()
            if message and not message.is_deleted:
                detail = "Only the author and moderators can delete a message."
                raise Problem.forbidden(detail, "not_the_author")
        if message is None or message.is_deleted:
            raise _message_not_found()
        if_match.check(message.version)
        erased = self._messages.erase(message)
        self._attachments.remove([attachment.attachment_id for attachment in message.attachments])
        self._deliver(erased)

    def react(self, caller: Caller, room_id: str, id_: str, text: str, *, add: bool) -> None:
        """Adds or removes a reaction of the caller.

        Members without permission to send messages can only remove reactions.
        """
        standing = self._standings.find(caller, room_id)
        if add:
            standing.require_speaker()
        else:
            standing.require_member()
        emoji = canonical(text)
        if emoji is None:
            raise Problem.invalid(
                [FieldError("emoji", "must be one emoji of the Unicode standard")]
            )
        message = self._find_existing(room_id, id_)
        change = self._reactions.add if add else self._reactions.remove
        try:
            changed = change(message, emoji, caller.user_id)
        except TooManyReactionsError as error:
            detail = f"{error} Remove a reaction, or react with an emoji that others used."
            raise Problem.conflict(detail, "too_many_reactions") from None
        if not changed:
            return
        count = self._reactions.read_counts([id_], consistent=True)[id_].get(emoji, 0)
        frame: Frame = {
            "type": "reaction",
            "roomId": room_id,
            "messageId": id_,
            "seq": message.seq,
            "emoji": emoji,
            "action": "added" if add else "removed",
            "count": count,
        }
        if caller.is_anonymous:
            alias = self._people.find_author(caller, room_id, anonymous=True)
            frame["aliasId"], frame["displayName"] = alias.alias_id, alias.name
        else:
            frame["userId"] = caller.user_id
            # The frame does not show the name of a user without permission to send messages.
            # Otherwise the user could send texts to the room by changing the name before removing a
            # reaction.
            frame["displayName"] = UNKNOWN_NAME
            if standing.require_member().may_broadcast:
                frame["displayName"] = self._people.public_name(caller)
        self._broadcast.send(Delivery(room_id, frame))

    def find_last_seq(self, room_id: str) -> int:
        """Returns the number of the room's last message, or 0 if the room has no messages.

        Raises Problem 404 if the room does not exist.
        """
        head = self._rooms.find_head(room_id)
        if head is None:
            raise room_not_found()
        return head.seq

    def _find_existing(self, room_id: str, id_: str) -> Message:
        message = self._messages.find(room_id, id_)
        if message is None or message.is_deleted:
            raise _message_not_found()
        return message

    def _is_author(self, caller: Caller, message: Message) -> bool:
        author = (
            self._authors.author_of(message.message_id)
            if message.is_anonymous
            else message.author_id
        )
        return author == caller.user_id

    def _extra_entries(self, caller: Caller, author: Author, message: Message) -> dict[str, Entry]:
        """Returns the transaction entry that stores the event.

        For an anonymous message, adds the entry that records which user is the author.
        """
        data = {
            "roomId": message.room_id,
            "messageId": message.message_id,
            "seq": message.seq,
            "type": message.type,
            "isAnonymous": message.is_anonymous,
        }
        event = self._outbox.put("MessageSent", actor_id=author.actor_id, data=data)
        if author.user_id is not None:
            return {"event": event}
        author_entry = self._authors.build_put(message.message_id, caller.user_id)
        return {"event": event, "author": author_entry}

    def _deliver(self, message: Message) -> None:
        [name] = self._people.author_names([message], None)
        reactions: Mapping[str, int] = {}
        if message.version > FIRST_VERSION and not message.is_deleted:
            id_ = message.message_id
            reactions = self._reactions.read_counts([id_])[id_]
        frame = message.frame(name, reactions)
        self._broadcast.send(Delivery(message.room_id, frame, message.delivery_name))

    def _hide_signals(self, room_id: str, user_id: str) -> None:
        # If the cache is down, no typing signals or read marks are sent, so nothing needs hiding.
        with suppress(CacheUnavailableError):
            self._signals.hide(room_id, user_id)


def _message_not_found() -> Problem:
    return Problem.not_found("There is no such message.", "message_not_found")


def _repeat_key(caller: Caller, room_id: str, client_message_id: str | None) -> str | None:
    if client_message_id is None:
        return None
    parts = msgspec.json.encode(["chat-message", caller.user_id, room_id, client_message_id])
    return hashlib.sha256(parts).hexdigest()
