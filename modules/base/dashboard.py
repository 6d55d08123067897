"""The body of a CloudWatch dashboard: sections of graphs, laid out from left to right and top to bottom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from modules.base.document import json_document

COLUMNS = 24
"""A dashboard's width (CloudWatch, dashboard body structure)."""
HEIGHT = 6
"""A graph's height; documented."""

Row = Sequence[Any]
"""One metric as a widget has it: namespace, name, dimensions by name and value, and what is drawn otherwise."""


class Board:
    """Widgets and where they go.

    Args:
        region: of the metrics, where a graph names no other.
    """

    def __init__(self, region: str) -> None:
        self._region = region
        self._widgets: list[dict[str, Any]] = []
        self._x = self._y = self._row_height = 0

    def section(self, title: str) -> None:
        """Begins a section below what is there, with a heading."""
        self._break()
        self._place("text", COLUMNS, 1, {"markdown": f"## {title}"})

    def alarms(self, title: str, arns: Sequence[str]) -> None:
        """Shows the state of alarms."""
        self._place("alarm", COLUMNS, 3, {"title": title, "alarms": list(arns)})

    def graph(
        self,
        title: str,
        metrics: Sequence[Row],
        *,
        width: int = 12,
        period: int = 300,
        stat: str = "Sum",
        region: str | None = None,
    ) -> None:
        """Draws metrics over time; period in seconds, 300 and the sum are the documented ones."""
        properties = {
            "metrics": [list(row) for row in metrics],
            "period": period,
            "stat": stat,
            "region": region or self._region,
            "title": title,
        }
        self._place("metric", width, HEIGHT, properties)

    def body(self) -> str:
        """The dashboard's body."""
        return json_document({"widgets": self._widgets})

    def _place(self, type_: str, width: int, height: int, properties: dict[str, Any]) -> None:
        if self._x + width > COLUMNS:
            self._break()
        self._widgets.append(
            {
                "type": type_,
                "x": self._x,
                "y": self._y,
                "width": width,
                "height": height,
                "properties": properties,
            }
        )
        self._x += width
        self._row_height = max(self._row_height, height)

    def _break(self) -> None:
        self._x, self._y, self._row_height = 0, self._y + self._row_height, 0
