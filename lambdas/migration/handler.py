"""The migration function, invoked by operators, deployments and a schedule."""

import os
from collections.abc import Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from lambdas.common.clients import Clients, client_config
from lambdas.common.logs import create_logger
from lambdas.common.settings import Settings, read
from lambdas.common.storage.database import CA_BUNDLE, SecretCredentials, connect
from lambdas.migration.files import MigrationError, read_migrations
from lambdas.migration.fingerprint import fingerprint
from lambdas.migration.migrator import Migrator
from lambdas.migration.record import DynamoRecord

if TYPE_CHECKING:
    import pg8000.native

SCHEDULE = "aws.events"
"""The `source` of the schedule's events."""

TIMEOUT = 300.0
"""Seconds: the function's timeout, and the longest wait for the response to a statement."""


class MigrationSettings(Settings, frozen=True, kw_only=True):
    """The settings of the migration function. `rds_endpoint` is host:port.

    If `rds_tls` is true, the connection uses TLS and verifies the server with `rds_ca_file`.
    """

    rds_endpoint: str
    rds_database: str
    rds_secret_arn: str
    rds_tls: bool
    rds_ca_file: str = str(CA_BUNDLE)
    migration_state_table: str


class DatabaseCopy(Struct, frozen=True, forbid_unknown_fields=True):
    """A copy of the database: another database on the server, or a restored cluster."""

    database: str | None = None
    cluster: str | None = None


class Invocation(Struct, frozen=True):
    """The event that invokes the function.

    `caller` is the caller's name, `by` in the event. With `plan`, the function only returns the
    pending migrations. With `fingerprint`, it only returns the fingerprint of the database or of a
    copy. `limit` is the maximum number of migrations to apply.
    """

    caller: str = msgspec.field(default="", name="by")
    source: str = ""
    plan: bool = False
    limit: int | None = None
    fingerprint: DatabaseCopy | None = None


def run(event: Mapping[str, Any], context: Any, environ: Mapping[str, str]) -> Any:
    """Applies migrations, or returns the plan or the fingerprint if the event requests it.

    Raises:
        MigrationError: A migration was rejected or failed. Lambda returns the message to the
            caller, or sends it to the alerts topic after an asynchronous invocation.
    """
    invocation = msgspec.convert(dict(event), Invocation)
    settings = read(MigrationSettings, environ)
    logger = create_logger(settings)
    clients = Clients(settings.region)

    def remaining() -> float:
        return float(context.get_remaining_time_in_millis()) / 1000

    if invocation.fingerprint:
        with closing(_connect(settings, clients, invocation.fingerprint)) as connection:
            return {"tables": fingerprint(connection)}
    caller = invocation.caller or invocation.source or "unknown"
    with closing(_connect(settings, clients, DatabaseCopy())) as connection:
        record = DynamoRecord(clients.dynamodb, settings.migration_state_table)
        migrator = Migrator(
            connection, read_migrations(), record, caller=caller, remaining=remaining
        )
        try:
            result = migrator.plan() if invocation.plan else migrator.migrate(invocation.limit)
        except MigrationError as error:
            logger.error("migration failed", reason=str(error), by=caller)
            raise
    logger.info(
        "migration", plan=invocation.plan, by=caller, applied=result.applied, pending=result.pending
    )
    return msgspec.to_builtins(result)


def _connect(
    settings: MigrationSettings, clients: Clients, copy: DatabaseCopy
) -> "pg8000.native.Connection":
    endpoint = settings.rds_endpoint
    if copy.cluster:
        # Clusters of one account and region differ only in the first label of the host name. The
        # event can replace only this label, so it cannot send the password to another domain.
        endpoint = ".".join([copy.cluster.partition(".")[0], *endpoint.split(".")[1:]])
    secrets = clients.session.client("secretsmanager", config=client_config())
    return connect(
        endpoint,
        copy.database or settings.rds_database,
        SecretCredentials(lambda: secrets, settings.rds_secret_arn),
        ca_file=settings.rds_ca_file if settings.rds_tls else None,
        timeout=TIMEOUT,
        application="migration",
    )


def handler(event: Mapping[str, Any], context: Any) -> Any:
    return run(event, context, os.environ)
