"""PostgreSQL: how a function connects, and the one connection that an execution environment keeps."""

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
"""Amazon's RDS certificate authorities, which no public trust store has."""

STATEMENT_TIMEOUT = 5.0
"""Seconds a statement of a service may run: a page is read in milliseconds, and the caller waits."""

LOCK_TIMEOUT = 2.0
"""Seconds a statement of a service may wait for a lock; transactions are a few milliseconds long."""

NETWORK_TIMEOUT = 7.0
"""Seconds one wait on the network may take, in connecting too: more than a statement may run, so that PostgreSQL ends it and the
connection survives. A dead connection, a new one and its statement fit the 29 s of API Gateway."""

RETRY_AFTER = 5
"""Seconds a caller is asked to wait: a failover or a paused cluster takes some 15 to 30 s."""

_AUTHENTICATION_FAILED = {
    "28P01",
    "28000",
}  # wrong password; what RDS answers to a token that it does not accept
_BUSY = {
    "55P03",
    "57014",
    "40001",
    "40P01",
}  # lock not available, statement timeout, serialization, deadlock
_GONE = (
    "08",
    "53",
    "57P",
)  # connection lost, out of resources (connections too), shut down or starting up


class DatabaseSettings(Settings, frozen=True, kw_only=True):
    """`rds_endpoint` is host:port. With `rds_iam_auth` a token is the password and TLS is verified; without, neither is used."""

    rds_endpoint: str
    rds_database: str
    rds_username: str
    rds_iam_auth: bool = False


class Credentials(Struct, frozen=True):
    """Whom to connect as; no password where the server trusts its network."""

    username: str
    password: str | None = None


Authorize = Callable[[], Credentials]
"""Gives the credentials that are good now."""


class IamCredentials:
    """The service's own role, by a token that is signed anew for each connection."""

    def __init__(self, settings: DatabaseSettings, session: "boto3.session.Session") -> None:
        self._settings = settings
        self._session = session

    def __call__(self) -> Credentials:
        user = self._settings.rds_username
        if not self._settings.rds_iam_auth:
            return Credentials(user)
        return Credentials(user, rds_token(self._session, self._settings.rds_endpoint, user))


class SecretCredentials:
    """The user of a secret that RDS keeps and rotates, read at every call."""

    def __init__(self, secrets: Callable[[], "SecretsManagerClient"], secret: str) -> None:
        self._secrets = secrets
        self._secret = secret

    def __call__(self) -> Credentials:
        found = json.loads(self._secrets().get_secret_value(SecretId=self._secret)["SecretString"])
        return Credentials(found["username"], found["password"])


def connect(
    endpoint: str,
    database: str,
    authorize: Authorize,
    *,
    tls: bool,
    timeout: float,
    application: str,
    parameters: Mapping[str, str] | None = None,
) -> "pg8000.native.Connection":
    """A new connection. Credentials that the server refuses are asked for once more: they may have been rotated meanwhile.

    Args:
        endpoint: host:port.
        tls: encrypt, and verify the server's name and chain.
        timeout: seconds that each wait on the network may take.
        application: what PostgreSQL shows as the connection's user.
        parameters: the session's settings, as `SET` takes them.

    Raises:
        pg8000.exceptions.InterfaceError, OSError: the database cannot be reached.
        pg8000.exceptions.DatabaseError: it refuses the connection.
    """
    import pg8000.native  # noqa: PLC0415 (80 ms of a cold start, only where the database is used)

    host, _, port = endpoint.rpartition(":")
    # False and not None, with which the driver tries TLS and verifies nothing.
    context = ssl.create_default_context(cafile=str(CA_BUNDLE)) if tls else False

    def attempt() -> "pg8000.native.Connection":
        credentials = authorize()
        return pg8000.native.Connection(
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

    try:
        return attempt()
    except pg8000.exceptions.DatabaseError as error:
        if sqlstate(error) not in _AUTHENTICATION_FAILED:
            raise
        return attempt()


def sqlstate(error: Exception) -> str:
    """PostgreSQL's code of an error that it has answered, "" for any other."""
    fields = error.args[0] if error.args else None
    return str(fields.get("C", "")) if isinstance(fields, dict) else ""


def constraint(error: Exception) -> str:
    """The constraint that an error PostgreSQL has answered is about, "" where it is about none."""
    fields = error.args[0] if error.args else None
    return str(fields.get("n", "")) if isinstance(fields, dict) else ""


Run = Callable[..., list[list[Any]]]
"""Runs one statement with its parameters as keywords (`:name` in the SQL) and gives the rows."""


class Database:
    """The connection of one execution environment: opened at first use, kept, and opened anew when it has died.

    Statements are prepared once per connection and planned for the values of each call. What PostgreSQL or the network answers for
    want of a working database becomes Problem 503; every other error is the caller's to handle.
    """

    def __init__(
        self, settings: DatabaseSettings, session: "boto3.session.Session", logger: Logger
    ) -> None:
        self._settings = settings
        self._authorize = IamCredentials(settings, session)
        self._logger = logger
        self._connection: pg8000.native.Connection | None = None
        self._prepared: dict[str, pg8000.native.PreparedStatement] = {}

    def read(self, sql: str, **values: Any) -> list[list[Any]]:
        """The rows of one statement that changes nothing; repeated once on a new connection where an old one turns out dead."""
        with self._unavailable():
            if self._connection is None:
                self._open()
                return self._run(sql, **values)
            try:
                return self._run(sql, **values)
            except Exception as error:
                if not self._lost(error):
                    raise
            self._open()
            return self._run(sql, **values)

    @contextmanager
    def transaction(self) -> Iterator[Run]:
        """What runs inside is committed together, or not at all where anything is raised.

        Its first statement, BEGIN, finds out whether the connection is alive, so that a dead one costs no request. An answer to COMMIT
        that is lost with the connection is 503: whoever asked has been promised nothing.
        """
        with self._unavailable():
            self._begin()
            try:
                yield self._run
            except BaseException as error:
                self._abandon(error)
                raise
            self._run_simply("COMMIT")

    def _begin(self) -> None:
        if self._connection is not None:
            try:
                self._run_simply("BEGIN")
                return
            except Exception as error:
                if not self._lost(error):
                    raise
        self._open()
        self._run_simply("BEGIN")

    def _abandon(self, error: BaseException) -> None:
        """Rolls back on a connection that works; any other is given up, and PostgreSQL rolls back by itself."""
        if isinstance(error, Exception) and self._lost(error):
            return
        try:
            self._run_simply("ROLLBACK")
        except Exception:
            self._drop()

    def _open(self) -> None:
        settings = self._settings
        self._drop()
        self._connection = connect(
            settings.rds_endpoint,
            settings.rds_database,
            self._authorize,
            tls=settings.rds_iam_auth,
            timeout=NETWORK_TIMEOUT,
            application=settings.powertools_service_name,
            parameters={
                "statement_timeout": _milliseconds(STATEMENT_TIMEOUT),
                "lock_timeout": _milliseconds(LOCK_TIMEOUT),
                # A frozen execution environment must hold no lock.
                "idle_in_transaction_session_timeout": _milliseconds(NETWORK_TIMEOUT),
                # A plan for any value would be wrong for most: one category has half of the listings, another a few.
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

    def _run_simply(self, sql: str) -> None:
        assert self._connection is not None
        self._connection.run(sql)

    def _lost(self, error: Exception) -> bool:
        """Whether the connection is of no use any more; it is closed then."""
        if _is_problem_of_sql(error):
            return False
        self._drop()
        return True

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        self._prepared = {}
        if connection is not None:
            try:
                connection.close()
            except Exception:  # it was dead
                self._logger.debug("a dead connection was closed")

    @contextmanager
    def _unavailable(self) -> Iterator[None]:
        try:
            yield
        except Problem:
            raise
        except Exception as error:
            code = sqlstate(error)
            if code in _BUSY:
                self._refuse(error, "The database is busy. Try again shortly.", "database_busy", 1)
            if code.startswith(_GONE) or (not code and _is_of_the_network(error)):
                self._drop()
                detail = "The database does not answer yet: it may be starting. Try again shortly."
                self._refuse(error, detail, "database_unavailable", RETRY_AFTER)
            raise

    def _refuse(self, error: Exception, detail: str, code: str, retry_after: int) -> NoReturn:
        # The error's class and code alone: PostgreSQL's texts may quote values.
        self._logger.warning(
            "database unavailable", code=code, sqlstate=sqlstate(error), error=type(error).__name__
        )
        headers = {"Retry-After": str(retry_after)}
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, code, detail, headers=headers) from error


def _milliseconds(seconds: float) -> str:
    return str(round(seconds * 1000))


def _is_problem_of_sql(error: Exception) -> bool:
    """Whether the connection survived: PostgreSQL has answered, and not to say goodbye; or nothing was asked of it."""
    code = sqlstate(error)
    return not code.startswith(_GONE) if code else not _is_of_the_network(error)


def _is_of_the_network(error: Exception) -> bool:
    from pg8000.exceptions import InterfaceError  # noqa: PLC0415 (imported already where there was a connection)

    return isinstance(error, InterfaceError | OSError)
