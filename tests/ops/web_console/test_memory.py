"""Tests how much memory the console uses, and the code that reduces it: short service
descriptions, and a parser that replaces the package redis.
"""

from __future__ import annotations

import io
import os
import subprocess
from typing import Any

import pytest
from botocore.loaders import Loader

from ops.local.console_process import SMALL_HEAP, SMALL_PYTHON
from ops.web_console.cache import read_reply
from ops.web_console.descriptions import short_loader

LIMIT = 70e6
"""Bytes of memory that a process with all modules and AWS clients of the console may use.

The process shares 16 MB of them with other programs. If it decoded the service descriptions
completely, it would use 5 MB more. A console that has shown all views uses another 7 MB, which the
limit does not include.
"""
LOADED = """
import gc
from environments import load_environment
from ops.web_console import server
from ops.web_console.source import ConsoleCloud
import psutil
cloud = ConsoleCloud(load_environment("local", variables={}), {}, "https://127.0.0.1:1")
for name in ("sts", "s3", "lambda", "dynamodb", "sqs", "cloudwatch", "events", "logs"):
    cloud.client(name)
gc.collect()
print(psutil.Process().memory_info().rss)
"""


def without_documentation(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: ""
            if key == "documentation" and isinstance(value[key], str)
            else without_documentation(value[key])
            for key in value
        }
    return [without_documentation(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("kind", ["service-2", "endpoint-rule-set-1", "paginators-1"])
@pytest.mark.parametrize("service", ["lambda", "s3"])  # botocore adds shapes to s3's description
def test_a_short_description_lacks_only_the_documentation(service: str, kind: str) -> None:
    whole = Loader().load_service_model(service, kind)
    short = short_loader().load_service_model(service, kind)
    assert without_documentation(short) == without_documentation(whole)
    assert "<p>" not in str(short)


def test_the_short_loader_returns_the_same_endpoints_as_botocore() -> None:
    short = without_documentation(short_loader().load_data("endpoints"))
    assert short == without_documentation(Loader().load_data("endpoints"))


def test_all_modules_and_clients_use_less_memory_than_the_limit() -> None:
    completed = subprocess.run(
        [*SMALL_PYTHON, "-c", LOADED],
        env={"PATH": os.environ["PATH"], "AWS_DEFAULT_REGION": "us-east-1", **SMALL_HEAP},
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(completed.stdout) < LIMIT


@pytest.mark.parametrize(
    ("sent", "value"),
    [
        (b"+OK\r\n", "OK"),
        (b":-2\r\n", -2),
        (b"$3\r\na\r\n\r\n", "a\r\n"),
        (b"$-1\r\n", None),
        (b"*2\r\n$1\r\n0\r\n*1\r\n$3\r\nkey\r\n", ["0", ["key"]]),
    ],
)
def test_responses_of_the_cache_are_parsed(sent: bytes, value: Any) -> None:
    assert read_reply(io.BytesIO(sent)) == value


@pytest.mark.parametrize(
    ("sent", "reason"), [(b"-ERR unknown\r\n", "ERR unknown"), (b"", "closed the connection")]
)
def test_a_rejected_command_and_a_closed_connection_raise_an_error(
    sent: bytes, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        read_reply(io.BytesIO(sent))
