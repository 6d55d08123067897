"""Tests the parsing of environment variables, and the preconditions of requests (If-Match)."""

import pytest

from lambdas.common.problems import Problem
from lambdas.common.settings import Settings, SettingsError, read
from lambdas.common.web.http import Request
from lambdas.common.web.preconditions import IfMatch, etag
from tests.lambdas.support import rest_event


class Sample(Settings, frozen=True, kw_only=True):
    table_name: str
    tables: tuple[str, ...]
    size: int = 3


ENVIRON = {
    "STAGE": "local",
    "REGION": "us-east-1",
    "TABLE_NAME": "t",
    "TABLES": "a, b,",
    "OTHER": "x",
}


def test_variables_are_converted_to_the_types_of_the_settings() -> None:
    settings = read(
        Sample,
        {
            **ENVIRON,
            "SIZE": "5",
            "RATE_LIMIT_ENABLED": "true",
            "CORS_ORIGINS": "https://a, https://b",
        },
    )
    assert (settings.table_name, settings.tables, settings.size) == ("t", ("a", "b"), 5)
    assert settings.rate_limit_enabled is True
    assert settings.cors_origins == ("https://a", "https://b")


def test_an_empty_variable_uses_the_default() -> None:
    assert read(Sample, {**ENVIRON, "SIZE": ""}).size == 3


def test_the_error_names_all_missing_variables() -> None:
    with pytest.raises(SettingsError, match=r"variables REGION, TABLE_NAME: they are required\."):
        read(Sample, {**ENVIRON, "TABLE_NAME": " ", "REGION": ""})


@pytest.mark.parametrize(("name", "value"), [("SIZE", "many"), ("RATE_LIMIT_ENABLED", "perhaps")])
def test_the_error_names_an_invalid_variable(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        read(Sample, {**ENVIRON, name: value})


@pytest.mark.parametrize(
    ("header", "passes"),
    [
        (None, True),
        ("*", True),
        ('"3"', True),
        ("3", True),
        ('"1", "3"', True),
        ('"2"', False),
        ('W/"3"', False),
        ("", False),
    ],
)
def test_if_match_accepts_the_current_version(header: str | None, passes: bool) -> None:
    request = Request(
        rest_event("PATCH", "/v1/posts/1", headers={} if header is None else {"If-Match": header})
    )
    assert etag(3) == '"3"'
    if passes:
        IfMatch.of(request).check(3)
    else:
        with pytest.raises(Problem) as raised:
            IfMatch.of(request).check(3)
        assert raised.value.status == 412
