"""Connections to PostgreSQL. Each execution environment of a service keeps one open."""

import json
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from msgspec import Struct

from lambdas.common.logs import Logger
from lambdas.common.problems import Problem
from lambdas.common.settings import Settings
from lambdas.common.storage.iam_tokens import rds_token

if TYPE_CHECKING:
    import boto3
    import pg8000.native
    from mypy_boto3_secretsmanager import SecretsManagerClient

CA_BUNDLE = Path(__file__).with_name("rds-ca-bundle.pem")
"""Amazon's RDS certificate authorities, which are not in public trust stores."""

STATEMENT_TIMEOUT = 5.0
"""Maximum seconds that a statement of a service takes. Reading a page of a list takes a few
milliseconds."""

LOCK_TIMEOUT = 2.0
"""Maximum seconds that a statement waits for a lock. Transactions take a few milliseconds."""

NETWORK_TIMEOUT = 7.0
"""Maximum seconds per network wait, including connecting. It exceeds STATEMENT_TIMEOUT, so that
PostgreSQL ends a slow statement and the connection survives. Three waits (for a dead connection, a
new connection and a statement) take up to 21 s. API Gateway waits 29 s for the response."""

RETRY_AFTER = 5
"""Seconds in the header Retry-After while the database is unreachable. A failover, or resuming a
paused cluster, takes 15 to 30 s. Clients therefore retry a few times before the database
responds."""

_AUTHENTICATION_FAILED = {"28P01", "28000"}
"""SQLSTATEs of a wrong password and of a token that RDS rejects."""
_BUSY = {"55P03", "57014", "40001", "40P01"}
"""SQLSTATEs of an unavailable lock, statement timeout, serialization failure and deadlock."""

_GONE = ("08", "53", "57P")
"""SQLSTATE prefixes of lost connections, insufficient resources, shutdowns and startups."""


class DatabaseSettings(Settings, frozen=True, kw_only=True):
    """The settings of a service's connection. `rds_endpoint` has the form host:port.

    With `rds_iam_auth`, the password is an IAM token and TLS is verified with the certificate
    authorities in `rds_ca_file`. Without it, the connection has neither password nor TLS.
    """

    rds_endpoint: str
    rds_database: str
    rds_username: str
    rds_iam_auth: bool = False
    rds_ca_file: str = str(CA_BUNDLE)


class Credentials(Struct, frozen=True):
    """The user to connect as. `password` is None if the server requires no password."""

    username: str
    password: str | None = None


CredentialsProvider = Callable[[], Credentials]
"""A function that returns currently valid credentials."""


class IamCredentials:
    """The service's database role, with a new IAM token for each connection."""

    def __init__(self, settings: DatabaseSettings, session: "boto3.session.Session") -> None:
        self._settings = settings
        self._session = session

    def __call__(self) -> Credentials:
        user = self._settings.rds_username
        if not self._settings.rds_iam_auth:
            return Credentials(user)
        return Credentials(user, rds_token(self._session, self._settings.rds_endpoint, user))


class SecretCredentials:
    """The user and password of a secret that RDS rotates. Reads the secret on each call."""

    def __init__(self, secrets: Callable[[], "SecretsManagerClient"], secret: str) -> None:
        self._secrets = secrets
        self._secret = secret

    def __call__(self) -> Credentials:
        value = json.loads(self._secrets().get_secret_value(SecretId=self._secret)["SecretString"])
        return Credentials(value["username"], value["password"])


def connect(
    endpoint: str,
    database: str,
    get_credentials: CredentialsProvider,
    *,
    ca_file: str | None,
    timeout: float,
    application: str,
    parameters: Mapping[str, str] | None = None,
) -> "pg8000.native.Connection":
    """Opens a connection to a database.

    If the server rejects the credentials, retries once with new ones, as RDS may have rotated them.

    Args:
        endpoint: host:port.
        get_credentials: Returns the credentials for an attempt.
        ca_file: The certificate authorities for verifying the server, or None for no encryption.
        timeout: Maximum seconds for each network wait.
        application: The `application_name` that PostgreSQL shows for the connection.
        parameters: Session settings, as for `SET`.

    Raises:
        pg8000.exceptions.InterfaceError, OSError: The database cannot be reached.
        pg8000.exceptions.DatabaseError: The database rejected the connection.
    """
    import pg8000.native  # noqa: PLC0415 (costs 80 ms of a cold start)

    host, _, port = endpoint.rpartition(":")
    # With None instead of False, the driver would try TLS without verification.
    context = ssl.create_default_context(cafile=ca_file) if ca_file else False

    def attempt() -> "pg8000.native.Connection":
        credentials = get_credentials()
        connection = pg8000.native.Connection(
            credentials.username,
            password=credentials.password,
            host=host,
            port=int(port),
            database=database,
            ssl_context=context,
            timeout=timeout,
            application_name=application,
            startup_params=dict(parameters or {}),
        )
        connection.register_out_adapter(list, _array)
        return connection

    try:
        return attempt()
    except pg8000.exceptions.DatabaseError as error:
        if sqlstate(error) not in _AUTHENTICATION_FAILED:
            raise
        return attempt()


def _array(texts: list[str]) -> str:
    """Returns a PostgreSQL array literal with every element in quotes.

    The driver's own conversion does not quote the text `null`, which PostgreSQL then reads as NULL.
    """
    escaped = (text.replace("\\", "\\\\").replace('"', '\\"') for text in texts)
    return "{" + ",".join(f'"{text}"' for text in escaped) + "}"


def sqlstate(error: Exception) -> str:
    """Returns the SQLSTATE of an error that PostgreSQL reported, or "" for any other error."""
    fields = error.args[0] if error.args else None
    return str(fields.get("C", "")) if isinstance(fields, dict) else ""


def constraint(error: Exception) -> str:
    """Returns the name of the constraint that a statement violated, or "" for any other error."""
    fields = error.args[0] if error.args else None
    return str(fields.get("n", "")) if isinstance(fields, dict) else ""


Run = Callable[..., list[list[Any]]]
"""A function that runs one statement with keyword parameters (`:name` in the SQL) and returns the
rows.
"""


class Database:
    """The connection of one execution environment to PostgreSQL.

    Connects on first use, and reconnects after the connection is lost.

    Statements are prepared once per connection. PostgreSQL plans each execution for its parameters.
    Methods raise Problem 503 if the database is busy or unreachable, and propagate other errors.
    """

    def __init__(
        self, settings: DatabaseSettings, session: "boto3.session.Session", logger: Logger
    ) -> None:
        self._settings = settings
        self._get_credentials = IamCredentials(settings, session)
        self._logger = logger
        self._connection: pg8000.native.Connection | None = None
        self._prepared: dict[str, pg8000.native.PreparedStatement] = {}

    def read(self, sql: str, **values: Any) -> list[list[Any]]:
        """Returns the rows of a read-only statement. Retries once after a lost connection."""
        with self._convert_errors():
            if self._connection is None:
                self._open()
                return self._run(sql, **values)
            try:
                return self._run(sql, **values)
            except Exception as error:
                if not self._drop_if_lost(error):
                    raise
            self._open()
            return self._run(sql, **values)

    @contextmanager
    def transaction(self) -> Iterator[Run]:
        """Runs the block as a transaction: commits it, or rolls back if it raises.

        If BEGIN fails because the connection is dead, the transaction starts on a new connection.
        If the connection is lost during COMMIT, the result is unknown and the caller gets 503.
        """
        with self._convert_errors():
            self._begin()
            try:
                yield self._run
            except BaseException as error:
                self._abandon(error)
                raise
            self._run_unprepared("COMMIT")

    def _begin(self) -> None:
        if self._connection is not None:
            try:
                self._run_unprepared("BEGIN")
                return
            except Exception as error:
                if not self._drop_if_lost(error):
                    raise
        self._open()
        self._run_unprepared("BEGIN")

    def _abandon(self, error: BaseException) -> None:
        """Rolls back the transaction, or closes the connection if it is lost."""
        if isinstance(error, Exception) and self._drop_if_lost(error):
            return
        try:
            self._run_unprepared("ROLLBACK")
        except Exception:
            self._drop()

    def _open(self) -> None:
        settings = self._settings
        self._drop()
        self._connection = connect(
            settings.rds_endpoint,
            settings.rds_database,
            self._get_credentials,
            ca_file=settings.rds_ca_file if settings.rds_iam_auth else None,
            timeout=NETWORK_TIMEOUT,
            application=settings.powertools_service_name,
            parameters={
                "statement_timeout": _milliseconds(STATEMENT_TIMEOUT),
                "lock_timeout": _milliseconds(LOCK_TIMEOUT),
                # An execution environment that Lambda has frozen must not hold locks.
                "idle_in_transaction_session_timeout": _milliseconds(NETWORK_TIMEOUT),
                # The best plan depends on the values: one category may have half of all
                # listings, another very few.
                "plan_cache_mode": "force_custom_plan",
                "TimeZone": "UTC",
            },
        )

    def _run(self, sql: str, **values: Any) -> list[list[Any]]:
        assert self._connection is not None
        statement = self._prepared.get(sql)
        if statement is None:
            statement = self._prepared[sql] = self._connection.prepare(sql)
        rows: list[list[Any]] = statement.run(**values)
        return rows

    def _run_unprepared(self, sql: str) -> None:
        assert self._connection is not None
        self._connection.run(sql)

    def _drop_if_lost(self, error: Exception) -> bool:
        """Closes the connection and returns True if the error made the connection unusable."""
        if _connection_survived(error):
            return False
        self._drop()
        return True

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        self._prepared = {}
        if connection is not None:
            try:
                connection.close()
            except Exception:
                self._logger.debug("closing a dead connection failed")

    @contextmanager
    def _convert_errors(self) -> Iterator[None]:
        try:
            yield
        except Problem:
            raise
        except Exception as error:
            code = sqlstate(error)
            if code in _BUSY:
                self._refuse(error, "The database is busy. Try again shortly.", "database_busy", 1)
            if code.startswith(_GONE) or (not code and _is_network_error(error)):
                self._drop()
                detail = "The database does not respond and may be starting. Try again shortly."
                self._refuse(error, detail, "database_unavailable", RETRY_AFTER)
            raise

    def _refuse(self, error: Exception, detail: str, code: str, retry_after: int) -> NoReturn:
        # The log omits the error's message, because PostgreSQL's messages may quote values.
        self._logger.warning(
            "database unavailable", code=code, sqlstate=sqlstate(error), error=type(error).__name__
        )
        headers = {"Retry-After": str(retry_after)}
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, code, detail, headers=headers) from error


def _milliseconds(seconds: float) -> str:
    return str(round(seconds * 1000))


def _connection_survived(error: Exception) -> bool:
    """Returns True if the connection can still be used after the error."""
    code = sqlstate(error)
    return not code.startswith(_GONE) if code else not _is_network_error(error)


def _is_network_error(error: Exception) -> bool:
    from pg8000.exceptions import InterfaceError  # noqa: PLC0415 (slow, see `connect`)

    return isinstance(error, InterfaceError | OSError)
