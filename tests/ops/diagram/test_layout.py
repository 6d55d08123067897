"""Tests that the lines of the architecture picture cross no box."""

from __future__ import annotations

from itertools import combinations, pairwise
from random import Random

import pytest

from ops.diagram.layout import Frame, Layout, Pair, arrange

ROW = 24.0
WIDTH = 1090.0


def find_crossings(layout: Layout) -> list[tuple[Pair, str]]:
    """Returns each pair of a line and a box that the line crosses."""
    return [
        (line.pair, box.name)
        for line in layout.lines
        for (x1, y1), (x2, y2) in pairwise(line.points)
        for box in layout.boxes
        if min(x1, x2) < box.x + box.width
        and max(x1, x2) > box.x
        and min(y1, y2) < box.y + box.height
        and max(y1, y2) > box.y
    ]


def frames(sizes: list[tuple[int, int]]) -> list[Frame]:
    """Returns a list of frames, one per group. `sizes` has their columns and numbers of rows."""
    return [
        Frame(f"group-{index}", column, ROW * rows, ROW)
        for index, (column, rows) in enumerate(sizes)
    ]


@pytest.mark.parametrize("seed", range(50))
def test_no_line_crosses_a_box(seed: int) -> None:
    random = Random(seed)  # noqa: S311 - test data
    groups = frames(
        [(random.randrange(5), random.randrange(2, 40)) for _ in range(random.randrange(2, 9))]
    )
    pairs = list(combinations([frame.name for frame in groups], 2))
    connected = [random.choice([pair, pair[::-1]]) for pair in pairs if random.random() < 0.7]
    layout = arrange(groups, connected, WIDTH)
    assert find_crossings(layout) == []
    assert {frozenset(line.pair) for line in layout.lines} == {
        frozenset(pair) for pair in connected
    }
    for line in layout.lines:
        for name, (x, y) in zip(line.pair, (line.points[0], line.points[-1]), strict=True):
            [box] = [box for box in layout.boxes if box.name == name]
            assert x in (box.x, box.x + box.width), "a line must end at a side of its group"
            assert box.y < y < box.y + box.height
        for (x1, y1), (x2, y2) in pairwise(line.points):
            assert x1 == x2 or y1 == y2
    for first, second in combinations(layout.boxes, 2):
        assert (
            first.x + first.width <= second.x
            or second.x + second.width <= first.x
            or first.y + first.height <= second.y
            or second.y + second.height <= first.y
        ), "boxes must not overlap"


def test_lines_of_neighbouring_columns_do_not_overlap() -> None:
    groups = frames([(0, 5), (0, 5), (1, 5), (1, 5)])
    layout = arrange(groups, combinations([frame.name for frame in groups], 2), WIDTH)
    levels = {
        (line.pair[end], line.points[0 if end == 0 else -1][1])
        for line in layout.lines
        for end in (0, 1)
    }
    left, right = (
        {y for name, y in levels if name in names}
        for names in (("group-0", "group-1"), ("group-2", "group-3"))
    )
    assert not left & right


def test_seven_connected_groups_fit_into_a_laptop_screen() -> None:
    groups = frames([(0, 20), (0, 30), (1, 14), (2, 30), (3, 60), (2, 8), (1, 60)])
    layout = arrange(groups, combinations([frame.name for frame in groups], 2), WIDTH)
    assert len(layout.lines) == 21
    assert layout.width <= WIDTH
    assert find_crossings(layout) == []


def test_a_line_that_crosses_a_box_is_detected() -> None:
    groups = frames([(0, 5), (1, 5), (2, 5)])
    layout = arrange(groups, [("group-0", "group-2")], WIDTH)
    line = layout.lines[0]
    straight = type(line)(line.pair, (line.points[0], line.points[-1]))
    assert find_crossings(Layout(layout.width, layout.height, layout.boxes, (straight,))) == [
        (line.pair, "group-1")
    ]
