from __future__ import annotations

import json

from modules.base.dashboard import DashboardBody


def test_graphs_fill_rows_and_sections_start_below_them() -> None:
    body = DashboardBody("eu-west-1")
    body.add_section("Functions")
    for title in ("one", "two", "three"):
        body.add_graph(title, [["AWS/Lambda", "Errors", "FunctionName", title]])
    body.add_section("Tables")
    widgets = json.loads(body.to_json())["widgets"]
    assert [(item["type"], item["x"], item["y"]) for item in widgets] == [
        ("text", 0, 0),
        ("metric", 0, 1),
        ("metric", 12, 1),
        ("metric", 0, 7),
        ("text", 0, 13),
    ]
    assert widgets[1]["properties"] == {
        "metrics": [["AWS/Lambda", "Errors", "FunctionName", "one"]],
        "period": 300,
        "stat": "Sum",
        "region": "eu-west-1",
        "title": "one",
    }
