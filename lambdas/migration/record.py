"""The record of migrations in DynamoDB: a copy of the database's record, and failed migrations."""

from typing import TYPE_CHECKING

from lambdas.common.clock import SYSTEM_CLOCK, Clock, timestamp
from lambdas.common.storage.dynamodb import Table
from lambdas.migration.files import Migration
from lambdas.migration.migrator import Applied

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class DynamoRecord:
    """Stores one item per migration: status, checksum, caller, time and duration."""

    def __init__(self, dynamodb: "DynamoDBClient", table: str, clock: Clock = SYSTEM_CLOCK) -> None:
        self._table = Table(dynamodb, table)
        self._clock = clock

    def applied(self, migration: Applied) -> None:
        """Records an applied migration. Replaces the migration's item. Idempotent."""
        self._put(
            migration_id=migration.migration_id,
            status="applied",
            checksum=migration.checksum,
            applied_by=migration.applied_by,
            applied_at=timestamp(migration.applied_at.timestamp()),
            duration_ms=migration.duration_ms,
        )

    def failed(self, migration: Migration, caller: str, reason: str) -> None:
        self._put(
            migration_id=migration.id,
            status="failed",
            checksum=migration.checksum,
            failed_by=caller,
            failed_at=timestamp(self._clock()),
            reason=reason,
        )

    def _put(self, **values: str | int) -> None:
        self._table.put(values)
