"""What was released, and the lock under which it is: the environment's table `platform-releases`.

One item for each service and release, one for each stage of a promotion, and one lock that commands share which change what
serves: apply, release, rollback. AWS itself keeps no history of an alias.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal

import psutil
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import BotoCoreError, ClientError

from ops.cloud import Cloud
from ops.console import say
from ops.errors import OperatorError
from ops.process_identity import find

LEASE = 60.0
"""Seconds after which a lock that its holder no longer renews is free. Machines' clocks may differ by less than that."""
RENEWAL = 15.0
"""Seconds between renewals: three may fail before the lease ends."""
LOCK_KEY = {"service": {"S": "#lock"}, "released_at": {"S": "#lock"}}
"""No service is called so."""

Kind = Literal["release", "rollback", "apply", "function"]
"""What moved the traffic; `function`: `ops deploy-function`."""
Outcome = Literal["running", "promoted", "put back", "failed", "abandoned"]
"""`abandoned`: whoever released was killed, and the next command put traffic back."""
SERVED: Sequence[Outcome] = ("promoted",)


@dataclass(frozen=True)
class Record:
    """One service's part of a release."""

    service: str
    released_at: str
    """When it began: UTC with microseconds; unique per service."""
    release_id: str
    """The same for all services that were released together."""
    kind: Kind
    from_version: str
    to_version: str
    artifact: str
    """SHA-256 of the code of `to_version`, in base64, as Lambda gives it."""
    who: str
    commit: str
    """Of the checkout it came from; with `+changes` where that had some."""
    outcome: Outcome = "running"
    reason: str = ""
    finished_at: str = ""


class LockLostError(OperatorError):
    """Another command took the lock over; nothing more was changed."""


class Ledger:
    """The table of one environment.

    Args:
        cloud: the environment's.
        clock: seconds since the epoch.
    """

    def __init__(self, cloud: Cloud, clock: Callable[[], float] = time.time) -> None:
        self._dynamodb = cloud.client("dynamodb")
        self.table = f"platform-releases-{cloud.environment.name}"
        self._environment = cloud.environment.name
        self._clock = clock

    def begin(self, records: Sequence[Record]) -> None:
        """Stores what is about to be released."""
        for record in records:
            self._dynamodb.put_item(TableName=self.table, Item=_item(asdict(record)))

    def finish(self, record: Record, outcome: Outcome, reason: str = "") -> None:
        """Stores what came of it."""
        self._dynamodb.update_item(
            TableName=self.table,
            Key=_item({"service": record.service, "released_at": record.released_at}),
            UpdateExpression="SET outcome = :outcome, reason = :reason, finished_at = :finished",
            ExpressionAttributeValues=_item(
                {":outcome": outcome, ":reason": reason, ":finished": self.now()}
            ),
        )

    def history(self, service: str, limit: int = 50) -> list[Record]:
        """A service's latest records, newest first."""
        names = {item.name for item in fields(Record)}
        return [
            Record(**{name: value for name, value in item.items() if name in names})
            for item in self.latest(service, limit)
        ]

    def latest(self, key: str, limit: int = 50) -> list[dict[str, Any]]:
        """The latest items of a hash key, newest first."""
        reply = self._dynamodb.query(
            TableName=self.table,
            KeyConditionExpression="service = :service",
            ExpressionAttributeValues={":service": {"S": key}},
            ScanIndexForward=False,
            ConsistentRead=True,
            Limit=limit,
        )
        return [_value(item) for item in reply["Items"]]

    def get(self, key: str, range_key: str) -> dict[str, Any] | None:
        """One item that `note` stored."""
        reply = self._dynamodb.get_item(
            TableName=self.table,
            Key=_item({"service": key, "released_at": range_key}),
            ConsistentRead=True,
        )
        return _value(reply["Item"]) if "Item" in reply else None

    def note(self, key: str, range_key: str, values: Mapping[str, Any]) -> None:
        """Stores an item that is no service's: a stage, a gate, a site."""
        self._dynamodb.put_item(
            TableName=self.table, Item=_item({"service": key, "released_at": range_key, **values})
        )

    def now(self) -> str:
        """The time as records have it."""
        return (
            datetime.fromtimestamp(self._clock(), UTC)
            .isoformat(timespec="microseconds")
            .replace("+00:00", "Z")
        )

    def exists(self) -> bool:
        """Whether the environment has the table: not before its first apply."""
        try:
            self._dynamodb.get_item(TableName=self.table, Key=LOCK_KEY)
        except ClientError as error:
            if error.response["Error"]["Code"] == "ResourceNotFoundException":
                return False
            raise
        return True

    @contextmanager
    def locked(self, verb: str, who: str, *, force: bool = False) -> Iterator[Lock]:
        """Holds the environment's lock, and renews it in the background.

        A lock is taken over from a process of this machine that is dead, and from any holder that has not renewed it for LEASE
        seconds; both are said. Before the first apply there is no table and nothing to exclude: the lock is then none.

        Args:
            verb: what it is held for, as others are told.
            force: takes it from whoever holds it; that command then stops before it changes anything more.

        Raises:
            OperatorError: another command holds it.
            LockLostError: at the next `check`, when another command has taken it over.
        """
        lock = Lock(self, uuid.uuid4().hex, verb, who)
        if not self.exists():
            yield lock
            return
        self._acquire(lock, force=force)
        lock.held = True
        renewal = threading.Thread(target=lock.keep, daemon=True)
        renewal.start()
        try:
            yield lock
        finally:
            lock.over.set()
            renewal.join()
            self._release(lock)

    def _acquire(self, lock: Lock, *, force: bool) -> None:
        try:
            self._put(
                lock, "attribute_not_exists(service) OR expires_at < :now", {":now": self._clock()}
            )
            return
        except ClientError as error:
            if not _is_condition(error):
                raise
        held = self._dynamodb.get_item(TableName=self.table, Key=LOCK_KEY, ConsistentRead=True).get(
            "Item"
        )
        if held is None:  # released this very moment
            self._put(lock, "attribute_not_exists(service)", {})
            return
        holder = _value(held)
        described = (
            f"{holder['verb']} by {holder['who']} on {holder['host']} since {holder['since']}"
        )
        dead = holder["host"] == socket.gethostname() and not find(
            int(holder["pid"]), float(holder["started"])
        )
        if not (dead or force):
            raise OperatorError(
                f"{self._environment} is being changed: {described}. Wait until that is done; if its machine is gone, the lock is"
                f" free {LEASE:.0f} s after its last sign of life"
            )
        try:
            self._put(lock, "#owner = :dead", {":dead": holder["owner"]}, {"#owner": "owner"})
        except ClientError as error:
            if _is_condition(error):
                raise OperatorError(
                    f"{self._environment} is being changed by another command: try again"
                ) from error
            raise
        say(
            f"Took the lock over from a command that {'was stopped by --force' if not dead else 'was killed'}: {described}"
        )

    def _put(
        self,
        lock: Lock,
        condition: str,
        values: Mapping[str, Any],
        names: Mapping[str, str] | None = None,
    ) -> None:
        item = {
            "owner": lock.owner,
            "verb": lock.verb,
            "who": lock.who,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "started": psutil.Process().create_time(),
            "since": self.now(),
            "expires_at": self._clock() + LEASE,
        }
        more: dict[str, Any] = {"ExpressionAttributeValues": _item(values)} if values else {}
        if names:
            more["ExpressionAttributeNames"] = dict(names)
        self._dynamodb.put_item(
            TableName=self.table,
            Item={**LOCK_KEY, **_item(item)},
            ConditionExpression=condition,
            **more,
        )

    def renew(self, lock: Lock) -> bool:
        """Puts the lease's end off; False: the lock is another's."""
        try:
            self._dynamodb.update_item(
                TableName=self.table,
                Key=LOCK_KEY,
                UpdateExpression="SET expires_at = :expires",
                ConditionExpression="#owner = :owner",
                ExpressionAttributeNames={"#owner": "owner"},
                ExpressionAttributeValues=_item(
                    {":expires": self._clock() + LEASE, ":owner": lock.owner}
                ),
            )
        except ClientError as error:
            if _is_condition(error):
                return False
            raise
        return True

    def _release(self, lock: Lock) -> None:
        try:
            self._dynamodb.delete_item(
                TableName=self.table,
                Key=LOCK_KEY,
                ConditionExpression="#owner = :owner",
                ExpressionAttributeNames={"#owner": "owner"},
                ExpressionAttributeValues=_item({":owner": lock.owner}),
            )
        except (ClientError, BotoCoreError) as error:
            if isinstance(error, ClientError) and error.response["Error"]["Code"] in {
                "ConditionalCheckFailedException",  # taken over: it is another's to release
                "ResourceNotFoundException",  # the environment has just been removed
            }:
                return
            say(
                f"The lock of {self._environment} could not be released; it is free in {LEASE:.0f} s ({error})"
            )


@dataclass
class Lock:
    """A lock as its holder has it."""

    ledger: Ledger
    owner: str
    verb: str
    who: str
    held: bool = False
    """False: there was no table to hold it in."""
    over: threading.Event = field(default_factory=threading.Event)

    def check(self) -> None:
        """Call it before each change: makes sure that the lock is still this command's.

        Raises:
            LockLostError: it is not.
        """
        if self.held and not self.ledger.renew(self):
            raise LockLostError(
                "Another command has taken over the lock of this environment: nothing more was changed"
            )

    def keep(self) -> None:
        """Renews the lease until the holder is done."""
        while not self.over.wait(RENEWAL):
            try:
                if not self.ledger.renew(self):
                    return
            except (ClientError, BotoCoreError):
                continue  # the next renewal may succeed; the holder's own check tells otherwise


def _is_condition(error: ClientError) -> bool:
    return error.response["Error"]["Code"] == "ConditionalCheckFailedException"


def _item(values: Mapping[str, Any]) -> dict[str, Any]:
    serializer = TypeSerializer()
    # DynamoDB's numbers are decimals, which boto3 makes of no float by itself.
    exact = {
        name: Decimal(repr(value)) if isinstance(value, float) else value
        for name, value in values.items()
    }
    return {name: serializer.serialize(value) for name, value in exact.items()}


def _value(item: Mapping[str, Any]) -> dict[str, Any]:
    deserializer = TypeDeserializer()
    return {name: deserializer.deserialize(value) for name, value in item.items()}
