"""Reads migration files. They contain SQL, are applied in the order of their numbers, and are never
reverted.
"""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

DIRECTORY = Path(__file__).with_name("migrations")

_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")

# The first alternatives are tokens in which a semicolon does not end a statement: comments,
# strings, quoted identifiers and dollar-quoted bodies (PostgreSQL, "Lexical Structure").
_TOKEN = re.compile(
    r"""--[^\n]*
      | /\*.*?\*/
      | \b[eE]'(?:[^'\\]|\\.|'')*'
      | '(?:[^']|'')*'
      | "(?:[^"]|"")*"
      | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$
      | ;
      | [^-/;'"$eE]+ | .""",
    re.DOTALL | re.VERBOSE,
)
_TRANSACTION_CONTROL = {
    "begin",
    "start",
    "commit",
    "end",
    "rollback",
    "abort",
    "savepoint",
    "release",
    "prepare",
}


class MigrationError(Exception):
    """A migration was rejected or rolled back, or could not start.

    The message contains the reason, and the file and line if they are known.
    """


class Statement(Struct, frozen=True):
    """One statement of a file. `line` is the number of its first line, counted from 1."""

    sql: str
    line: int


class Migration(Struct, frozen=True):
    """A migration file. `id` is its name without `.sql`, and `checksum` is the SHA-256 of its
    content in hex.
    """

    id: str
    checksum: str
    statements: tuple[Statement, ...]

    @property
    def file(self) -> str:
        return f"{self.id}.sql"

    @property
    def number(self) -> str:
        return self.id[:4]


def read_migrations(directory: Path = DIRECTORY) -> list[Migration]:
    """Returns all migrations in order.

    Raises:
        MigrationError: A name is not like `0001_what_it_does.sql`, two files have the same number,
            or a file has no statement or contains transaction control.
    """
    migrations: list[Migration] = []
    for path in sorted(directory.iterdir()):
        if not _NAME.fullmatch(path.name):
            raise MigrationError(
                f"{path.name} is not a migration's name: use a name such as 0001_what_it_does.sql"
            )
        content = path.read_bytes()
        statements = tuple(split(content.decode()))
        migration = Migration(path.stem, hashlib.sha256(content).hexdigest(), statements)
        if migrations and migrations[-1].number == migration.number:
            raise MigrationError(f"{migration.file}: {migrations[-1].file} already has this number")
        if not statements:
            raise MigrationError(f"{migration.file}: the file contains no SQL statement")
        for statement in statements:
            if _first_word(statement.sql) in _TRANSACTION_CONTROL:
                reason = "each migration is one transaction: remove this transaction command"
                raise MigrationError(f"{migration.file}, line {statement.line}: {reason}")
        migrations.append(migration)
    return migrations


def split(text: str) -> Iterator[Statement]:
    """Yields the statements of an SQL text, without the comments before each statement."""
    begin = None
    for token in _TOKEN.finditer(text):
        if token[0] == ";":
            if begin is not None:
                yield _statement(text, begin, token.start())
            begin = None
        elif begin is None and token[0].strip() and not token[0].startswith(("--", "/*")):
            begin = token.start() + len(token[0]) - len(token[0].lstrip())
    if begin is not None:
        yield _statement(text, begin, len(text))


def _statement(text: str, begin: int, end: int) -> Statement:
    return Statement(text[begin:end].rstrip(), text.count("\n", 0, begin) + 1)


def _first_word(sql: str) -> str:
    return sql.split(None, 1)[0].lower()
