"""Tests that the page of licences lists everything that a release ships."""

from __future__ import annotations

import json
import re

import pytest

from ops.root import PROJECT
from tools.sbom.__main__ import PAGE, read_licences, read_pins

ROW = re.compile(r"^\| (\S+) \| (\S+) \| (.+) \| (functions|site) \|$", re.MULTILINE)
SPDX = re.compile(r"[A-Za-z0-9.+-]+( (AND|OR|WITH) [A-Za-z0-9.+-]+)*")


def normalize(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_page_lists_the_packages_of_the_functions_and_of_the_site() -> None:
    rows = ROW.findall(PAGE.read_text())
    listed = {f"{normalize(name)}=={version}" for name, version, _, part in rows if part != "site"}
    assert listed == read_pins(), "run `make sbom`"
    lock = json.loads((PROJECT / "package-lock.json").read_text())["packages"]
    shipped = {
        (path.removeprefix("node_modules/"), entry["version"])
        for path, entry in lock.items()
        if path and not entry.get("dev")
    }
    assert {(name, version) for name, version, _, part in rows if part == "site"} == shipped


def test_each_licence_is_an_spdx_expression() -> None:
    licences = {licence for _, _, licence, _ in ROW.findall(PAGE.read_text())}
    assert [licence for licence in licences if not SPDX.fullmatch(licence)] == []


@pytest.mark.parametrize(
    ("licences", "expected"),
    [
        ([{"license": {"id": "MIT"}}], "MIT"),
        ([{"expression": "MIT OR Apache-2.0"}], "MIT OR Apache-2.0"),
        ([{"license": {"name": "Own"}}, {"license": {"id": "MIT"}}], "MIT AND Own"),
        ([], "unknown"),
    ],
)
def test_licences_are_read_from_each_format_of_an_sbom(
    licences: list[dict[str, object]], expected: str
) -> None:
    component = {"name": "a", "version": "1", "licenses": licences}
    assert list(read_licences({"components": [component]})) == [("a", "1", expected)]
