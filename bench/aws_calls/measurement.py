"""Runs all scenarios and counts their calls. Reads and writes calls.yml, the file with the
counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from bench.aws_calls.platform import platform
from bench.aws_calls.recorder import Recorder
from bench.aws_calls.scenarios import LISTENERS, SCENARIOS
from tests.postgres import Postgres

FILE = Path(__file__).parents[2] / "ops" / "capacity" / "calls.yml"
PAGE = 20
"""Number of items on a page of a list: the API's default."""
_HEADER = """\
# What each request uses: AWS calls, DynamoDB capacity units, commands to the cache and SQL
# statements. Written by `python -m bench.aws_calls`; a test fails if a request uses something else.
#
# The counts are those of a warm execution environment, for texts of 300 bytes and pages of 20
# items. The `units` of an index are `table/index reads` and `table/index writes`. A chat message
# causes the calls of `frame send_message` or of its route, and those of `per listener` for each
# listener of the room after the first.
"""


def measure(postgres: Postgres, migrated: str) -> dict[str, Any]:
    """Returns how many AWS calls each kind of request makes.

    Args:
        postgres: A running server.
        migrated: A database with the platform's schema. The functions use a copy of it.
    """
    with platform(postgres, migrated) as running:
        person, other = running.person("ann"), running.person("bob")
        # The first calls read parameters and open connections, which later calls reuse.
        warm_up = Recorder(running, page=1, is_counting=False)
        recorder = Recorder(running, page=PAGE, is_counting=True)
        for each in (warm_up, recorder):
            for scenario in SCENARIOS:
                scenario(each, person, other)
    counts = recorder.counts
    alone, together = counts.pop("alone"), counts.pop("together")
    counts["frame send_message"] = alone
    counts["per listener"] = alone.divide_increase(together, LISTENERS)
    return {name: counts[name].document() for name in sorted(counts)}


def read_calls(file: Path = FILE) -> dict[str, Any]:
    """Returns the counts in the file, by request, frame and event."""
    calls: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return calls


def write(calls: Mapping[str, Any], file: Path = FILE) -> None:
    text = yaml.safe_dump(dict(calls), sort_keys=False, default_flow_style=None, width=100)
    file.write_text(_HEADER + text, encoding="utf-8")
