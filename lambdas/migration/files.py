"""The migrations as files: plain SQL, forward only, in the order of their numbers."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

DIRECTORY = Path(__file__).with_name("migrations")

_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")

# What a semicolon does not end a statement in (PostgreSQL's lexical structure): comments, strings, quoted names, bodies in dollars.
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
    """Nothing of the migration it names was kept; the message says which file, where in it, and why."""


class Statement(Struct, frozen=True):
    """One statement of a file; `line` is where it begins, counted from 1."""

    sql: str
    line: int


class Migration(Struct, frozen=True):
    """One file. Its id is its name without `.sql`; the checksum is SHA-256 (hex) of its bytes."""

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
    """All migrations in their order.

    Raises:
        MigrationError: a name is not like `0001_what_it_does.sql`, two files have one number, or a file is empty or controls
            transactions itself.
    """
    found: list[Migration] = []
    for path in sorted(directory.iterdir()):
        if not _NAME.fullmatch(path.name):
            raise MigrationError(f"{path.name}: name migrations like 0001_what_it_does.sql")
        content = path.read_bytes()
        statements = tuple(split(content.decode()))
        migration = Migration(path.stem, hashlib.sha256(content).hexdigest(), statements)
        if found and found[-1].number == migration.number:
            raise MigrationError(f"{migration.file}: {found[-1].file} has that number already")
        if not statements:
            raise MigrationError(f"{migration.file}: there is no statement in it")
        for statement in statements:
            if _first_word(statement.sql) in _TRANSACTION_CONTROL:
                reason = "each migration is one transaction, which it may not end or begin itself"
                raise MigrationError(f"{migration.file}, line {statement.line}: {reason}")
        found.append(migration)
    return found


def split(text: str) -> Iterator[Statement]:
    """The statements of an SQL text, each with the comments inside it but not those before it."""
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
