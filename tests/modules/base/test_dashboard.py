from __future__ import annotations

import json

from modules.base.dashboard import Board


def test_graphs_fill_rows_and_sections_start_below_them() -> None:
    board = Board("eu-west-1")
    board.add_section("Functions")
    for title in ("one", "two", "three"):
        board.add_graph(title, [["AWS/Lambda", "Errors", "FunctionName", title]])
    board.add_section("Tables")
    widgets = json.loads(board.body())["widgets"]
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
