"""The body of a CloudWatch dashboard. It has sections with a heading and rows of graphs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from modules.base.document import json_document

COLUMNS = 24
"""The width of a dashboard in grid units (CloudWatch, dashboard body structure)."""
HEIGHT = 6
"""The height of a graph in grid units, as the specification requires."""

GraphMetric = Sequence[Any]
"""A metric of a graph: namespace, metric name, each dimension's name and value, and options."""


class DashboardBody:
    """Collects widgets and computes their positions.

    Args:
        region: The default region of the graphs' metrics.
    """

    def __init__(self, region: str) -> None:
        self._region = region
        self._widgets: list[dict[str, Any]] = []
        self._x = self._y = self._row_height = 0

    def add_section(self, title: str) -> None:
        """Starts a section with a heading, below the existing widgets."""
        self._break()
        self._place("text", COLUMNS, 1, {"markdown": f"## {title}"})

    def add_alarms(self, title: str, arns: Sequence[str]) -> None:
        """Adds a widget with the states of alarms."""
        self._place("alarm", COLUMNS, 3, {"title": title, "alarms": list(arns)})

    def add_graph(
        self,
        title: str,
        metrics: Sequence[GraphMetric],
        *,
        width: int = 12,
        period: int = 300,
        stat: str = "Sum",
        region: str | None = None,
    ) -> None:
        """Adds a graph of metrics. `width` is in grid units, and `period` in seconds."""
        properties = {
            "metrics": [list(metric) for metric in metrics],
            "period": period,
            "stat": stat,
            "region": region or self._region,
            "title": title,
        }
        self._place("metric", width, HEIGHT, properties)

    def to_json(self) -> str:
        """Returns the dashboard's body as JSON."""
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
