"""Records changes of frequently changing data in the journal, and replays them after a kill.

Covers DynamoDB items and streams, SQS messages and archived EventBridge events. Each record
contains the result of a change, not the call, so it is safe to replay a record twice.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

from ministack.core.responses import AccountRegionScopedDict
from ministack.services import dynamodb, eventbridge, lambda_svc, sqs

from .journal import Journal


class Messages(list[Any]):
    """The list of a queue's messages. Records each new message in the journal."""

    def __init__(self, messages: Iterable[Any], arn: str, journal: Journal) -> None:
        super().__init__(messages)
        self._arn = arn
        self._journal = journal

    def append(self, message: Any) -> None:
        super().append(message)
        self._journal.write(["message", self._arn, message])

    def clear(self) -> None:
        ids = [message["id"] for message in self]
        super().clear()
        self._journal.write(["deleted messages", self._arn, ids])

    def __deepcopy__(self, memo: Any) -> list[Any]:
        return copy.deepcopy(list(self), memo)


class Queue(dict[str, Any]):
    """A queue of the emulator. Records the deletion of messages in the journal."""

    def __init__(self, queue: dict[str, Any], journal: Journal) -> None:
        super().__init__(queue)
        self._journal = journal
        self._arn = queue["attributes"]["QueueArn"]
        super().__setitem__("messages", Messages(queue["messages"], self._arn, journal))

    def __setitem__(self, key: str, value: Any) -> None:
        if key == "messages":
            kept = {message["id"] for message in value}
            deleted = [message["id"] for message in self[key] if message["id"] not in kept]
            value = Messages(value, self._arn, self._journal)
            super().__setitem__(key, value)
            if deleted:
                self._journal.write(["deleted messages", self._arn, deleted])
        else:
            super().__setitem__(key, value)

    def __deepcopy__(self, memo: Any) -> dict[str, Any]:
        return copy.deepcopy(dict(self), memo)


class Queues(AccountRegionScopedDict):  # type: ignore[misc]
    """The emulator's dictionary of queues. Makes each new queue record its changes."""

    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self.journal = journal

    def __setitem__(self, key: Any, queue: dict[str, Any]) -> None:
        super().__setitem__(key, Queue(queue, self.journal))

    def wrap_all(self) -> None:
        """Replaces each queue of a loaded state with a `Queue`, which records its changes."""
        for key, queue in self._data.items():
            if not isinstance(queue, Queue):
                self._data[key] = Queue(queue, self.journal)


class Positions(AccountRegionScopedDict):  # type: ignore[misc]
    """The position of each event source mapping in its stream. Records changes in the journal."""

    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self.journal = journal

    def __setitem__(self, key: Any, position: int) -> None:
        if self.get(key) != position:
            super().__setitem__(key, position)
            self.journal.write(["position", list(self._scoped(key)), position])


class DurableStores:
    """Records each change of items, streams, messages and archived events in the journal."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._queues = Queues(journal)
        self._positions = Positions(journal)
        self._set_item = dynamodb._set_item
        self._remove_item = dynamodb._remove_item

    def record_changes(self) -> None:
        """Replaces stores and Python functions of ministack, to record each change of data."""
        sqs._queues = self._queues
        lambda_svc._dynamodb_stream_positions = self._positions
        dynamodb._set_item = self._set_and_record
        dynamodb._remove_item = self._remove_and_record
        dynamodb._emit_stream_event = self._recording_emit(dynamodb._emit_stream_event)
        eventbridge._archive_event = self._recording_archive(eventbridge._archive_event)
        # The changes of a transaction form one batch, so that they are replayed together or not at
        # all.
        handle = dynamodb.handle_request

        async def handle_as_batch(*arguments: Any) -> Any:
            with self._journal.batch():
                return await handle(*arguments)

        dynamodb.handle_request = handle_as_batch

    def streams(self) -> dict[str, Any]:
        """Returns the state of all DynamoDB streams. ministack itself would not save it."""
        return {"records": dynamodb._stream_records, "trimmed": dynamodb._stream_trimmed}

    def restore_streams(self, streams: dict[str, Any]) -> None:
        """Restores the records of all streams."""
        trimmed, records = streams["trimmed"], streams["records"]
        dynamodb._stream_trimmed.update(trimmed)
        dynamodb._stream_records.update(records)

    def wrap_queues(self) -> None:
        """Replaces each queue of the loaded state with a `Queue`, which records its changes."""
        self._queues.wrap_all()

    def replay(self, lines: Iterable[list[Any]]) -> int:
        """Applies recorded changes. Returns how many of them changed an item or a message."""
        tables = {table.get("TableId"): key for key, table in dynamodb._tables.all_items()}
        queues = {queue["attributes"]["QueueArn"]: queue for queue in self._queues.all_values()}
        actions: dict[str, tuple[Callable[..., None], dict[str, Any]]] = {
            "item": (self._replay_item, tables),
            "stream": (self._replay_stream, tables),
            "message": (self._replay_message, queues),
            "deleted messages": (self._replay_deletion, queues),
        }
        count = 0
        for line in lines:
            for kind, owner, *rest in line:
                if kind == "position":
                    self._replay_position(owner, *rest)
                elif kind == "archived":
                    self._replay_archived(owner, *rest)
                elif kind in actions:
                    replay, owners = actions[kind]
                    # Changes of a table or queue that was deleted later are skipped.
                    if owner in owners:
                        replay(owners[owner], *rest)
                        # A stream record is not counted. It belongs to a change of an item, which
                        # has its own record and is counted.
                        count += kind != "stream"
        return count

    def _set_and_record(self, table: Any, partition: Any, sort: Any, item: Any) -> Any:
        old = self._set_item(table, partition, sort, item)
        self._journal.write(["item", table.get("TableId"), partition, sort, item])
        return old

    def _remove_and_record(self, table: Any, partition: Any, sort: Any) -> Any:
        old = self._remove_item(table, partition, sort)
        if old is not None:
            self._journal.write(["item", table.get("TableId"), partition, sort, None])
        return old

    def _recording_emit(self, emit: Any) -> Any:
        def record(name: str, *arguments: Any, **options: Any) -> None:
            before = dynamodb.stream_end_position(name)
            emit(name, *arguments, **options)
            new = dynamodb.stream_records_since(name, before, 1)
            if new:
                table = dynamodb._tables.get(name)
                self._journal.write(["stream", table.get("TableId"), before, new[0]])

        return record

    def _recording_archive(self, archive_event: Any) -> Any:
        def record(event: Any, *arguments: Any) -> None:
            before = {
                key: len(archive.get("Events", ()))
                for key, archive in eventbridge._archives.items()
            }
            archive_event(event, *arguments)
            for key, archive in eventbridge._archives.items():
                if len(archive.get("Events", ())) > before[key]:
                    self._journal.write(
                        ["archived", list(eventbridge._archives._scoped(key)), event]
                    )

        return record

    def _replay_item(self, key: Any, partition: Any, sort: Any, item: Any) -> None:
        table = dynamodb._tables._data[key]
        if item is None:
            self._remove_item(table, partition, sort)
        else:
            self._set_item(table, partition, sort, item)

    def _replay_stream(self, key: Any, position: int, record: Any) -> None:
        records = dynamodb._stream_records._data.setdefault(key, [])
        if not records:
            trimmed = dynamodb._stream_trimmed._data
            trimmed[key] = max(position, trimmed.get(key, 0))
        if position >= dynamodb._stream_trimmed._data.get(key, 0) + len(records):
            records.append(record)

    def _replay_position(self, key: list[str], position: int) -> None:
        self._positions._data[tuple(key)] = position

    def _replay_message(self, queue: Queue, message: Any) -> None:
        if all(message["id"] != known["id"] for known in queue["messages"]):
            sqs._ensure_msg_fields(message)
            list.append(queue["messages"], message)

    def _replay_deletion(self, queue: Queue, ids: list[str]) -> None:
        kept = [message for message in queue["messages"] if message["id"] not in ids]
        list.__setitem__(queue["messages"], slice(None), kept)

    def _replay_archived(self, key: list[str], event: Any) -> None:
        archive = eventbridge._archives._data.get(tuple(key))
        if archive is not None and event not in archive.get("Events", ()):
            archive.setdefault("Events", []).append(event)
            archive["EventCount"] = archive.get("EventCount", 0) + 1
