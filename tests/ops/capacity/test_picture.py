"""Tests the SVG picture of the utilisation, and the text output of a forecast."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from ops.capacity.picture import LEFT, MARGIN, SVG, WIDTH, svg
from ops.capacity.text import changes, format_users, format_utilisation
from tests.ops.capacity.stacks import make_forecast


def test_the_picture_has_a_line_and_a_legend_for_each_limit() -> None:
    forecast = make_forecast()
    uses = forecast.uses(1e6)[:10]
    root = ET.fromstring(svg(forecast, uses, 1e6, "prod"))  # noqa: S314
    lines = root.findall(f"{{{SVG}}}polyline")
    texts = [text.text or "" for text in root.iter(f"{{{SVG}}}text")]
    assert len(lines) == 10
    for number, use in enumerate(uses, 1):
        assert any(text.startswith(f"{number}. {use.limit.name}: breaks at") for text in texts)
    for line in lines:
        places = [tuple(map(float, point.split(","))) for point in line.attrib["points"].split()]
        assert all(LEFT <= x <= WIDTH - MARGIN for x, _ in places)
        # Utilisation never falls, and vertical positions grow downwards.
        assert [y for _, y in places] == sorted((y for _, y in places), reverse=True)


def test_numbers_are_rounded_for_readers() -> None:
    assert format_users(184_829.4) == "185,000"
    assert format_users(12) == "12"
    assert format_users(None) == "over 1,000,000,000"
    assert (format_utilisation(0.054), format_utilisation(0.5), format_utilisation(30)) == (
        "5.4 %",
        "50 %",
        "3,000 %",
    )


def test_a_change_that_raises_several_limits_is_listed_once() -> None:
    uses = make_forecast().uses(1e6)
    lines = [line.partition(". ")[2] for line in changes(uses)]
    assert len(lines) == len(set(lines)) > 5
