"""Tests migration files: names, order and the splitting into statements."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdas.migration.files import MigrationError, Statement, read_migrations, split


def write(directory: Path, **files: str) -> Path:
    for name, text in files.items():
        (directory / f"{name.lstrip('_')}.sql").write_text(text)
    return directory


def test_the_platforms_migrations_are_valid() -> None:
    migrations = read_migrations()
    assert [migration.number for migration in migrations] == [
        f"{n:04d}" for n in range(1, len(migrations) + 1)
    ]
    assert all(migration.statements for migration in migrations)


def test_migrations_are_ordered_by_number_and_have_a_checksum(
    tmp_path: Path,
) -> None:
    first, second = read_migrations(write(tmp_path, _0010_b="SELECT 2", _0002_a="SELECT 1;"))
    assert (first.id, second.id) == ("0002_a", "0010_b")
    assert first.checksum == hashlib.sha256(b"SELECT 1;").hexdigest()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"first": "SELECT 1"}, "first.sql is not a migration's name: use a name such as"),
        (
            {"_0001_a": "SELECT 1", "_0001_b": "SELECT 1"},
            "0001_b.sql: 0001_a.sql already has this number",
        ),
        ({"_0001_a": "-- nothing\n;"}, "0001_a.sql: the file contains no SQL statement"),
        (
            {"_0001_a": "SELECT 1;\n\ncommit;"},
            "0001_a.sql, line 3: each migration is one transaction",
        ),
        (
            {"_0001_a": "BEGIN; SELECT 1; END"},
            "0001_a.sql, line 1: each migration is one transaction",
        ),
    ],
)
def test_the_error_for_an_invalid_file_contains_its_name(
    tmp_path: Path, files: dict[str, str], message: str
) -> None:
    with pytest.raises(MigrationError, match=message.replace(".", r"\.")):
        read_migrations(write(tmp_path, **files))


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT ';', 'it''s; so', \"a;b\"",
        r"SELECT E'\';', e'\\'",
        "SELECT 1 -- not here; nor here",
        "SELECT /* not;\nhere */ 1",
        "DO $$ BEGIN PERFORM 1; END $$",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $body$ SELECT '$$;'; $body$",
        "SELECT some'text;' -- e is no escape here",
        "SELECT 1 - 2 / 3, $1",
    ],
)
def test_semicolons_inside_tokens_do_not_end_a_statement(statement: str) -> None:
    assert [part.sql for part in split(f"{statement}\n;SELECT 2;")] == [statement, "SELECT 2"]


def test_each_statement_has_its_line_number() -> None:
    text = "-- first\n\nSELECT 1; -- same line\n  /* two\nlines */ SELECT\n 2 ;\n\nSELECT 3"
    assert list(split(text)) == [
        Statement("SELECT 1", 3),
        Statement("SELECT\n 2", 5),
        Statement("SELECT 3", 8),
    ]


@given(
    st.lists(
        st.sampled_from(
            ["SELECT 1", "SELECT ';'", "DO $$;$$", "SELECT\n'x\n;'", 'SELECT "a;" -- c;\n, 1']
        )
    )
)
def test_splitting_joined_statements_returns_the_statements(statements: list[str]) -> None:
    assert [part.sql for part in split(";\n".join(statements))] == statements
