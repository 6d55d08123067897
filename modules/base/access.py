"""Access of a function to a resource: environment variables and permissions in one object."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from constructs import Construct

from environments import Environment
from modules.base.bucket import Bucket
from modules.base.connections import CacheConnection, DatabaseConnection
from modules.base.naming import Names
from modules.base.policy import Statement, key_statement
from modules.base.queue import Queue
from modules.base.table import Table


@dataclass(frozen=True)
class Access:
    """One function's access to one resource.

    Statements with the same Sid become one statement, because a policy may contain each Sid only
    once.
    """

    variables: Mapping[str, str] = field(default_factory=dict)
    statements: Sequence[Statement] = ()
    connect: Callable[[Construct, str, str], object] | None = None
    """Creates the event source, if the resource invokes the function. The arguments are the
    function's construct, the ARN of the function's alias, and the name of the service."""


def table_access(
    table: Table,
    *operations: str,
    sid: str | None = None,
    index_sid: str | None = None,
    variable: str | None = None,
) -> Access:
    """Allows operations on a table's items, such as `GetItem`.

    Args:
        table: The table.
        operations: The operations on the table, without those on indexes.
        sid: The Sid of the statement. The default is the table's name, for example `RateLimits` for
            the table auth-rate-limits.
        index_sid: The Sid of a statement that allows queries of the table's indexes, or None.
        variable: The variable with the table's name. The default is DYNAMODB_TABLE_RATE_LIMITS for
            the table auth-rate-limits.
    """
    resource = table.resource
    statements = [
        Statement(
            sid=sid or _sid(resource),
            actions=[f"dynamodb:{operation}" for operation in operations],
            resources=[table.arn],
        )
    ]
    if index_sid:
        query = Statement(sid=index_sid, actions=["dynamodb:Query"], resources=table.index_arns)
        statements.append(query)
    variable = variable or f"DYNAMODB_TABLE_{resource.upper().replace('-', '_')}"
    return Access({variable: table.name}, statements)


@dataclass(frozen=True)
class Prefix:
    """The objects of a bucket below one prefix, and the operations that a function may call."""

    sid: str
    prefix: str
    """The prefix of the keys, with a trailing `/`."""
    operations: Sequence[str]
    """The operations, for example `GetObject`."""
    list_sid: str | None = None
    """The Sid of a statement that allows listing the objects, or None."""


def bucket_access(variable: str, bucket: Bucket, *prefixes: Prefix) -> Access:
    """Allows operations on a bucket's objects. `variable` receives the bucket's name."""
    statements = []
    for item in prefixes:
        actions = [f"s3:{operation}" for operation in item.operations]
        objects = [f"{bucket.arn}/{item.prefix}*"]
        statements.append(Statement(sid=item.sid, actions=actions, resources=objects))
        if item.list_sid:
            statements.append(
                Statement(
                    sid=item.list_sid,
                    actions=["s3:ListBucket"],
                    resources=[bucket.arn],
                    conditions={"StringLike": {"s3:prefix": f"{item.prefix}*"}},
                )
            )
    return Access({variable: bucket.name}, statements)


def queue_sending(variable: str, queue: Queue, *, sid: str | None = None) -> Access:
    """Allows sending to a queue. `variable` receives the queue's URL.

    The default Sid is the queue's name, for example `RetryEvents` for the queue `retry-events`.
    """
    return Access({variable: queue.url}, sending_statements(queue, sid=sid))


def sending_statements(queue: Queue, *, sid: str | None = None) -> list[Statement]:
    """Returns the permissions to send to a queue and to encrypt the messages."""
    return [
        Statement(
            sid=sid or _sid(queue.resource), actions=["sqs:SendMessage"], resources=[queue.arn]
        ),
        queue_key(queue, encrypts=True),
    ]


def queue_key(queue: Queue, *, encrypts: bool) -> Statement:
    """Allows using a queue's KMS key through SQS: to decrypt, and to encrypt if `encrypts`."""
    return key_statement(
        "QueueKey", queue.kms_key_arn, service="sqs", region=queue.region, encrypts=encrypts
    )


def database_access(names: Names, database: DatabaseConnection, username: str) -> Access:
    """Allows connecting to the database as a role, with TLS and IAM authentication."""
    user = names.arn("rds-db", f"dbuser:{database.resource_id}/{username}")
    return Access(
        variables={
            "RDS_ENDPOINT": database.endpoint,
            "RDS_DATABASE": database.database,
            "RDS_USERNAME": username,
            "RDS_IAM_AUTH": "true",
            **authority_variables(names.environment, "RDS_CA_FILE"),
        },
        statements=[Statement(sid="Database", actions=["rds-db:connect"], resources=[user])],
    )


def cache_access(names: Names, cache: CacheConnection) -> Access:
    """Allows connecting to the cache as its user, with TLS and IAM authentication."""
    variables = {
        "ELASTICACHE_CLUSTER": cache.endpoint,
        "ELASTICACHE_USERNAME": cache.username,
        "ELASTICACHE_REPLICATION_GROUP": cache.replication_group_id,
        "ELASTICACHE_TLS": "true",
        **authority_variables(names.environment, "ELASTICACHE_CA_FILE"),
    }
    resources = [cache.replication_group_arn, cache.user_arn]
    return Access(
        variables, [Statement(sid="Cache", actions=["elasticache:Connect"], resources=resources)]
    )


def authority_variables(environment: Environment, variable: str) -> dict[str, str]:
    """Returns the variable with the path of the emulator's CA certificates, or {} on AWS."""
    authority = environment.endpoints.authority
    return {variable: authority} if authority else {}


def _sid(resource: str) -> str:
    return "".join(part.capitalize() for part in resource.split("-"))
