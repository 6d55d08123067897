"""Stores an environment's release ledger and lock in the DynamoDB table `platform-releases-<env>`.

The ledger records which version was live when, because Lambda keeps no history of an alias. The
table has an item for each service of a release, for each deployment, passed gate, promotion and
published site, and one for the lock. Commands that change the environment hold the lock.
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

from environments.resource_names import ledger_table
from ops.cloud import Cloud
from ops.console import report
from ops.errors import OperatorError
from ops.process_identity import find_process

LEASE = 60.0
"""Seconds after which a lock expires if it is not renewed.

The clocks of any two machines must differ by less than this.
"""
RENEWAL = 15.0
"""Seconds between renewals of the lock. Three renewals may fail before the lock expires."""
LOCK_KEY = {"service": {"S": "#lock"}, "released_at": {"S": "#lock"}}
"""The key of the lock item. Names of services do not contain `#`."""

Kind = Literal["release", "rollback", "apply", "function"]
"""The kind of command that shifted the traffic. `function` means `ops deploy-function`."""
Outcome = Literal["running", "promoted", "rolled back", "failed", "abandoned"]
"""`abandoned`: the release command was killed before it completed.
`rolled back`: all traffic was shifted back to the old version."""


@dataclass(frozen=True)
class Record:
    """One shift of a service's traffic by a release, a rollback, an apply or `deploy-function`."""

    service: str
    released_at: str
    """Start time in UTC with microseconds. Unique per service."""
    release_id: str
    """The same for all services that were released together."""
    kind: Kind
    from_version: str
    to_version: str
    artifact: str
    """Base64-encoded SHA-256 of the code of `to_version` (Lambda's CodeSha256)."""
    who: str
    """The operator. Stored records have this attribute, so its name cannot change."""
    commit: str
    """The checkout's commit, with the suffix `+changes` if it had uncommitted changes."""
    outcome: Outcome = "running"
    reason: str = ""
    finished_at: str = ""


class LockLostError(OperatorError):
    """Raised if another command took over the lock.

    The command that lost the lock makes no further changes.
    """


class Ledger:
    """The release ledger and the lock of one environment.

    Args:
        cloud: The environment's AWS connection.
        clock: Returns seconds since the epoch.
    """

    def __init__(self, cloud: Cloud, clock: Callable[[], float] = time.time) -> None:
        self._dynamodb = cloud.client("dynamodb")
        self.table = ledger_table(cloud.environment.name)
        self._environment = cloud.environment.name
        self._clock = clock

    def begin(self, records: Sequence[Record]) -> None:
        """Stores the records of a release that is about to begin."""
        for record in records:
            self._dynamodb.put_item(TableName=self.table, Item=_item(asdict(record)))

    def finish(self, record: Record, outcome: Outcome, reason: str = "") -> None:
        """Stores the outcome of a release."""
        self._dynamodb.update_item(
            TableName=self.table,
            Key=_item({"service": record.service, "released_at": record.released_at}),
            UpdateExpression="SET outcome = :outcome, reason = :reason, finished_at = :finished",
            ExpressionAttributeValues=_item(
                {":outcome": outcome, ":reason": reason, ":finished": self.now()}
            ),
        )

    def history(self, service: str, limit: int = 50) -> list[Record]:
        """Returns a service's latest records, newest first."""
        names = {item.name for item in fields(Record)}
        return [
            Record(**{name: value for name, value in item.items() if name in names})
            for item in self.latest(service, limit)
        ]

    def latest(self, key: str, limit: int = 50) -> list[dict[str, Any]]:
        """Returns the latest items of a partition key, newest first."""
        response = self._dynamodb.query(
            TableName=self.table,
            KeyConditionExpression="service = :service",
            ExpressionAttributeValues={":service": {"S": key}},
            ScanIndexForward=False,
            ConsistentRead=True,
            Limit=limit,
        )
        return [_value(item) for item in response["Items"]]

    def get(self, key: str, range_key: str) -> dict[str, Any] | None:
        """Returns an item that `store` stored, or None."""
        response = self._dynamodb.get_item(
            TableName=self.table,
            Key=_item({"service": key, "released_at": range_key}),
            ConsistentRead=True,
        )
        return _value(response["Item"]) if "Item" in response else None

    def store(self, key: str, range_key: str, values: Mapping[str, Any]) -> None:
        """Stores an item other than a `Record`: a deployment, gate, promotion or site."""
        self._dynamodb.put_item(
            TableName=self.table, Item=_item({"service": key, "released_at": range_key, **values})
        )

    def now(self) -> str:
        """Returns the current time in the format of records."""
        return (
            datetime.fromtimestamp(self._clock(), UTC)
            .isoformat(timespec="microseconds")
            .replace("+00:00", "Z")
        )

    def exists(self) -> bool:
        """Returns True if the table exists. The environment's first apply creates it."""
        try:
            self._dynamodb.get_item(TableName=self.table, Key=LOCK_KEY)
        except ClientError as error:
            if error.response["Error"]["Code"] == "ResourceNotFoundException":
                return False
            raise
        return True

    @contextmanager
    def locked(self, purpose: str, operator: str, *, force: bool = False) -> Iterator[Lock]:
        """Holds the environment's lock and renews it in the background.

        Takes over a lock that was not renewed for LEASE seconds, and a lock whose holder ran on
        this machine and has ended. Takes no lock before the first apply, which creates the table.

        Args:
            purpose: The purpose of the lock, shown to other operators.
            force: Take the lock from its holder, which stops before its next change.

        Raises:
            OperatorError: Another command holds the lock.
            LockLostError: `Lock.check` found that another command has taken over the lock.
        """
        lock = Lock(self, uuid.uuid4().hex, purpose, operator)
        if not self.exists():
            yield lock
            return
        self._acquire(lock, force=force)
        lock.held = True
        renewal = threading.Thread(target=lock.renew_until_released, daemon=True)
        renewal.start()
        try:
            yield lock
        finally:
            lock.finished.set()
            renewal.join()
            self._release(lock)

    def _acquire(self, lock: Lock, *, force: bool) -> None:
        try:
            self._put(
                lock, "attribute_not_exists(service) OR expires_at < :now", {":now": self._clock()}
            )
            return
        except ClientError as error:
            if not _is_failed_condition(error):
                raise
        held = self._dynamodb.get_item(TableName=self.table, Key=LOCK_KEY, ConsistentRead=True).get(
            "Item"
        )
        if held is None:  # The holder released the lock after the first attempt
            self._put(lock, "attribute_not_exists(service)", {})
            return
        holder = _value(held)
        described = (
            f"{holder['verb']} by {holder['who']} on {holder['host']} since {holder['since']}"
        )
        dead = holder["host"] == socket.gethostname() and not find_process(
            int(holder["pid"]), float(holder["started"])
        )
        if not (dead or force):
            raise OperatorError(
                f"{self._environment} is being changed: {described}. Wait until that command ends."
                f" If its machine has failed, the lock expires {LEASE:.0f} s after the last renewal"
            )
        try:
            self._put(lock, "#owner = :dead", {":dead": holder["owner"]}, {"#owner": "owner"})
        except ClientError as error:
            if _is_failed_condition(error):
                raise OperatorError(
                    f"{self._environment} is being changed by another command: retry later"
                ) from error
            raise
        reason = "was killed" if dead else "was stopped by --force"
        report(f"Took over the lock from a command that {reason}: {described}")

    def _put(
        self,
        lock: Lock,
        condition: str,
        values: Mapping[str, Any],
        names: Mapping[str, str] | None = None,
    ) -> None:
        item = {
            "owner": lock.owner,
            "verb": lock.purpose,
            "who": lock.operator,
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
        """Extends the lease of a lock. Returns False if another command holds the lock."""
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
            if _is_failed_condition(error):
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
                "ConditionalCheckFailedException",  # another command has taken over the lock
                "ResourceNotFoundException",  # the environment has been removed
            }:
                return
            report(
                f"Cannot release the lock of {self._environment}. It expires in"
                f" {LEASE:.0f} s ({error})"
            )


@dataclass
class Lock:
    """The environment's lock, which this command holds."""

    ledger: Ledger
    owner: str
    purpose: str
    operator: str
    held: bool = False
    """False if the environment has no ledger table yet."""
    finished: threading.Event = field(default_factory=threading.Event)
    """Set when the command no longer needs the lock. It ends the renewal of the lease."""

    def check(self) -> None:
        """Verifies that this command still holds the lock. Call it before each change.

        Raises:
            LockLostError: Another command has taken over the lock.
        """
        if self.held and not self.ledger.renew(self):
            raise LockLostError(
                "This command stopped, because another command took over the lock of the"
                " environment. Changes that this command had already made remain"
            )

    def renew_until_released(self) -> None:
        """Renews the lease until the holder has finished."""
        while not self.finished.wait(RENEWAL):
            try:
                if not self.ledger.renew(self):
                    return
            except (ClientError, BotoCoreError):
                # The next renewal tries again. If another command has taken over the lock by then,
                # `check` raises an error.
                continue


def _is_failed_condition(error: ClientError) -> bool:
    return error.response["Error"]["Code"] == "ConditionalCheckFailedException"


def _item(values: Mapping[str, Any]) -> dict[str, Any]:
    serializer = TypeSerializer()
    # boto3's serializer rejects floats because DynamoDB numbers are decimals.
    exact = {
        name: Decimal(repr(value)) if isinstance(value, float) else value
        for name, value in values.items()
    }
    return {name: serializer.serialize(value) for name, value in exact.items()}


def _value(item: Mapping[str, Any]) -> dict[str, Any]:
    deserializer = TypeDeserializer()
    return {name: deserializer.deserialize(value) for name, value in item.items()}
