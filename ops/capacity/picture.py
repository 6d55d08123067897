"""Draws the utilisation of limits against the number of users, as a self-contained SVG."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Sequence

from ops.capacity.forecast import Forecast, Use
from ops.capacity.text import format_users

SVG = "http://www.w3.org/2000/svg"
WIDTH, PLOT, ROW, MARGIN, LEFT = 1300.0, 460.0, 22.0, 16.0, 64.0
"""Pixels. The plot has the height PLOT. LEFT is the width of the labels of its vertical axis."""
FEWEST, MOST = 3, 8
"""Range of the horizontal axis as powers of ten: 1,000 to 100 million users."""
LEAST, TOP = -2, 1
"""Range of the vertical axis as powers of ten: 1 % to 1,000 %."""
POINTS_PER_DECADE = 40
COLOURS = (
    "#d62728", "#1f77b4", "#2ca02c", "#9467bd", "#ff7f0e",
    "#00a087", "#8c564b", "#c2379a", "#5b6670", "#8a8a00",
)  # fmt: skip
STYLE = """\
.capacity text { font: 12px Helvetica, Arial, 'Liberation Sans', sans-serif; fill: #1f2933; }
.capacity text.heading { font-size: 14px; font-weight: bold; }
.capacity text.muted { fill: #52606d; }
.capacity .sheet { fill: #ffffff; }
.capacity .grid { stroke: #e4e7eb; }
.capacity .full { stroke: #1f2933; stroke-width: 1.5; stroke-dasharray: 6 4; }
.capacity .here { stroke: #7b8794; stroke-dasharray: 2 3; }
.capacity .line { fill: none; stroke-width: 2; }
"""


def svg(forecast: Forecast, uses: Sequence[Use], users: float, title: str) -> str:
    """Returns an SVG picture of the limits that are reached first as the number of users grows.

    Args:
        uses: At most ten limits. Each is drawn as a line.
        users: The number of users that a vertical line marks.
    """
    height = 3 * MARGIN + ROW * (3 + len(uses)) + PLOT + ROW
    ET.register_namespace("", SVG)
    root = ET.Element(f"{{{SVG}}}svg", {
        "class": "capacity", "role": "img", "aria-labelledby": "capacity-title",
        "width": f"{WIDTH:.0f}", "height": f"{height:.0f}", "viewBox": f"0 0 {WIDTH:g} {height:g}",
    })  # fmt: skip
    _add(root, "title", title, id="capacity-title")
    _add(root, "style", STYLE)
    _add(root, "rect", css="sheet", x=0, y=0, width=WIDTH, height=height)
    _add(root, "text", title, css="heading", x=MARGIN, y=MARGIN + 12)
    _axes(root, users)
    counts = [
        10 ** (FEWEST + step / POINTS_PER_DECADE)
        for step in range((MOST - FEWEST) * POINTS_PER_DECADE + 1)
    ]
    numbers: list[tuple[int, list[tuple[float, float]], str]] = []
    # The first limit is drawn last, so that its line is on top.
    for number, (use, colour) in reversed(list(enumerate(zip(uses, COLOURS, strict=False), 1))):
        values = forecast.series(use.limit, counts)
        points = [
            (_x(count), _y(value))
            for count, value in zip(counts, values, strict=True)
            if 10**LEAST <= value <= 10**TOP
        ]
        if points:
            line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            _add(root, "polyline", css="line", points=line, stroke=colour)
            numbers.append((number, points, colour))
        _legend(root, number, use, colour)
    for number, points, colour in numbers:
        _number(root, number, points, colour)
    return ET.tostring(root, encoding="unicode") + "\n"


def _number(
    root: ET.Element, number: int, points: Sequence[tuple[float, float]], colour: str
) -> None:
    """Writes a line's number on the line, at a different height for each number."""
    height = _y(10 ** (LEAST + number * (TOP - LEAST) / (len(COLOURS) + 1)))
    x, y = min(points, key=lambda point: abs(point[1] - height))
    _add(root, "circle", cx=x, cy=y, r=9, fill="#ffffff", stroke=colour)
    _add(root, "text", str(number), x=x, y=y + 4).set("text-anchor", "middle")


def _axes(root: ET.Element, users: float) -> None:
    bottom, right = _y(10**LEAST), _x(10**MOST)
    for power in range(FEWEST, MOST + 1):
        x = _x(10**power)
        _add(root, "line", css="grid", x1=x, y1=_y(10**TOP), x2=x, y2=bottom)
        label = _add(root, "text", format_users(10**power), css="muted", x=x, y=bottom + 18)
        label.set("text-anchor", "middle" if power < MOST else "end")
    for power in range(LEAST, TOP + 1):
        y = _y(10**power)
        css = "full" if power == 0 else "grid"
        _add(root, "line", css=css, x1=LEFT, y1=y, x2=right, y2=y)
        label = _add(
            root, "text", f"{10.0**power:,.0%}".replace("%", " %"), css="muted", x=LEFT - 6, y=y + 4
        )
        label.set("text-anchor", "end")
    if 10**FEWEST <= users <= 10**MOST:
        x = _x(users)
        _add(root, "line", css="here", x1=x, y1=_y(10**TOP), x2=x, y2=bottom)
        _add(root, "text", format_users(users), x=x + 4, y=bottom - 6)
    label = _add(root, "text", "daily active users", css="muted", x=right, y=bottom + 18 + ROW)
    label.set("text-anchor", "end")


def _legend(root: ET.Element, number: int, use: Use, colour: str) -> None:
    y = _y(10**LEAST) + 2 * ROW + MARGIN + number * ROW
    _add(root, "line", css="line", x1=MARGIN, y1=y - 4, x2=MARGIN + 24, y2=y - 4, stroke=colour)
    text = (
        f"{number}. {use.limit.name}: breaks at {format_users(use.breaks_at)}. To raise it,"
        f" {use.limit.change.text}"
    )
    _add(root, "text", text, x=MARGIN + 32, y=y)


def _x(users: float) -> float:
    width = WIDTH - LEFT - MARGIN
    return LEFT + (math.log10(users) - FEWEST) / (MOST - FEWEST) * width


def _y(utilisation: float) -> float:
    top = 2 * MARGIN + ROW
    return top + (TOP - math.log10(utilisation)) / (TOP - LEAST) * PLOT


def _add(
    parent: ET.Element, name: str, text: str = "", css: str = "", **values: object
) -> ET.Element:
    attributes = {"class": css} if css else {}
    attributes |= {key: f"{v:.1f}" if isinstance(v, float) else str(v) for key, v in values.items()}
    element = ET.SubElement(parent, f"{{{SVG}}}{name}", attributes)
    element.text = text or None
    return element
