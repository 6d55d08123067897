"""The migration function. Operators, deployments and its schedule invoke it; there is no HTTP in front of it."""

import os
from collections.abc import Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from lambdas.common.clients import Clients, client_config
from lambdas.common.logs import create_logger
from lambdas.common.settings import Settings, read
from lambdas.common.storage.database import SecretCredentials, connect
from lambdas.migration.files import MigrationError, read_migrations
from lambdas.migration.fingerprint import fingerprint
from lambdas.migration.migrator import Migrator
from lambdas.migration.record import DynamoRecord

if TYPE_CHECKING:
    import pg8000.native

SCHEDULE = "aws.events"
"""Who asks, in the events of the schedule."""

TIMEOUT = 300.0
"""Seconds, the documented time of the function: what one wait on the network may take, since a statement may take nearly all of it."""


class MigrationSettings(Settings, frozen=True, kw_only=True):
    """`rds_endpoint` is host:port. `rds_tls`: encrypted, and the server's name and chain are verified."""

    rds_endpoint: str
    rds_database: str
    rds_secret_arn: str
    rds_tls: bool
    migration_state_table: str


class Place(Struct, frozen=True, forbid_unknown_fields=True):
    """A copy of the database: another database of the same server, or the same database of a cluster that was restored beside it."""

    database: str | None = None
    cluster: str | None = None


class Order(Struct, frozen=True):
    """What the function is asked for.

    `by` is who asks. `plan`: only say what is to do. `limit`: so many migrations at most. `fingerprint`: migrate nothing, say what the
    database, or a copy of it, holds.
    """

    by: str = ""
    source: str = ""
    plan: bool = False
    limit: int | None = None
    fingerprint: Place | None = None


def run(event: Mapping[str, Any], context: Any, environ: Mapping[str, str]) -> Any:
    """Does what the event asks for.

    Raises:
        MigrationError: it was refused or failed; Lambda hands the message to whoever has invoked the function, or to the alerts topic.
    """
    order = msgspec.convert(dict(event), Order)
    settings = read(MigrationSettings, environ)
    logger = create_logger(settings)
    clients = Clients(settings.region)

    def remaining() -> float:
        return float(context.get_remaining_time_in_millis()) / 1000

    if order.fingerprint:
        with closing(_connect(settings, clients, order.fingerprint)) as connection:
            return {"tables": fingerprint(connection)}
    by = order.by or order.source or "unknown"
    with closing(_connect(settings, clients, Place())) as connection:
        record = DynamoRecord(clients.dynamodb, settings.migration_state_table)
        migrator = Migrator(connection, read_migrations(), record, by=by, remaining=remaining)
        try:
            result = migrator.plan() if order.plan else migrator.migrate(order.limit)
        except MigrationError as error:
            logger.error("migration failed", reason=str(error), by=by)
            raise
    logger.info("migration", plan=order.plan, by=by, applied=result.applied, pending=result.pending)
    return msgspec.to_builtins(result)


def _connect(
    settings: MigrationSettings, clients: Clients, place: Place
) -> "pg8000.native.Connection":
    endpoint = settings.rds_endpoint
    if place.cluster:
        # Clusters of one account and region differ in the first label alone: no event can lead the password elsewhere.
        endpoint = ".".join([place.cluster.partition(".")[0], *endpoint.split(".")[1:]])
    secrets = clients.session.client("secretsmanager", config=client_config())
    return connect(
        endpoint,
        place.database or settings.rds_database,
        SecretCredentials(lambda: secrets, settings.rds_secret_arn),
        tls=settings.rds_tls,
        timeout=TIMEOUT,
        application="migration",
    )


def handler(event: Mapping[str, Any], context: Any) -> Any:
    """The function Lambda calls."""
    return run(event, context, os.environ)
