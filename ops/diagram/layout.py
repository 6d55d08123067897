"""Places groups of nodes in columns, and routes one line per pair of connected groups.

Lines run only in the gutters between the columns, and in the strip at the top that is higher than
all boxes. No line therefore crosses a box. Lengths are in units of the caller, for example pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

Point = tuple[float, float]
Pair = tuple[str, str]

LANE = 12.0
NARROWEST_LANE = 6.0
"""Minimum distance between parallel lines.

The distance is LANE. It is reduced, at most to this minimum, if the columns would otherwise be too
narrow.
"""
MARGIN = 20.0
"""Space on each side of a gutter's lines, which leaves room for an arrowhead."""
NARROWEST = 180.0
"""Minimum width of a column."""
CORNER = 6.0
"""Radius of the corners of lines."""


@dataclass(frozen=True)
class Frame:
    """The name and size of a group to place."""

    name: str
    column: int
    body: float
    """Height of the contents above the rows of the group's connections."""
    row: float
    """Height of a row. Each connection to another group has a row, where its line ends."""


@dataclass(frozen=True)
class Box:
    """A placed group."""

    name: str
    x: float
    y: float
    width: float
    height: float
    rows: tuple[str, ...]
    """The connected groups in the order of their rows."""

    def contains(self, point: Point) -> bool:
        """Returns True if a point is inside the box, not on its border."""
        x, y = point
        return self.x < x < self.x + self.width and self.y < y < self.y + self.height


@dataclass(frozen=True)
class Line:
    """The connection between two groups.

    The first group is in the same column as the second one, or left of it.
    """

    pair: Pair
    points: tuple[Point, ...]

    @property
    def path(self) -> str:
        """The line as the `d` attribute of an SVG path, with round corners."""
        parts = [f"M{_text(self.points[0])}"]
        for before, corner, after in zip(
            self.points, self.points[1:], self.points[2:], strict=False
        ):
            start, end = _towards(corner, before), _towards(corner, after)
            parts.append(f"L{_text(start)}Q{_text(corner)} {_text(end)}")
        return "".join([*parts, f"L{_text(self.points[-1])}"])


@dataclass(frozen=True)
class Layout:
    """Placed groups and the lines between them."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]


@dataclass
class _Lane:
    """The part of a line inside a gutter, which is the space between two columns.

    Gutter 0 is right of column 0.
    """

    pair: Pair
    gutter: int
    start: float
    """The y coordinate of the lane's left end. The lanes of a gutter are sorted by it."""
    is_upward: bool
    x: float = field(default=0.0)


def arrange(frames: Sequence[Frame], pairs: Iterable[Pair], width: float) -> Layout:
    """Returns the layout of groups and their connections.

    Args:
        frames: the groups, in the order from top to bottom within a column.
        pairs: the connected groups.
        width: the desired width. The layout is wider if the columns would be too narrow.
    """
    used = sorted({frame.column for frame in frames})
    columns = {frame.name: used.index(frame.column) for frame in frames}
    order = [frame.name for frame in frames]
    sorted_pairs = sorted(
        {
            (one, other)
            if (columns[one], order.index(one)) <= (columns[other], order.index(other))
            else (other, one)
            for one, other in pairs
        },
        key=lambda pair: (order.index(pair[0]), order.index(pair[1])),
    )
    far = [pair for pair in sorted_pairs if columns[pair[1]] - columns[pair[0]] > 1]
    count = len(sorted_pairs) + len(far)
    spare = width - len(used) * (NARROWEST + 2 * MARGIN)
    distance = min(LANE, max(NARROWEST_LANE, spare / count)) if count else LANE
    top = distance * (len(far) + 1) if far else 0.0
    boxes = _stacked(frames, columns, sorted_pairs, top)
    lanes = list(_lanes(boxes, columns, sorted_pairs, top))
    gutters = [sum(lane.gutter == number for lane in lanes) for number in range(len(used))]
    widths = [MARGIN * 2 + distance * (size - 1) if size else 0.0 for size in gutters]
    widths = [max(size, MARGIN) for size in widths[:-1]] + widths[-1:]
    column_width = max(NARROWEST, (width - sum(widths)) / len(used))
    lefts = [number * column_width + sum(widths[:number]) for number in range(len(used))]
    for number, left in enumerate(lefts):
        inside = [lane for lane in lanes if lane.gutter == number]
        # Upward lanes first, sorted from top to bottom, then the others from bottom to top: in
        # this order, fewer lines cross.
        inside.sort(key=lambda lane: (not lane.is_upward, lane.start * (lane.is_upward or -1)))
        for index, lane in enumerate(inside):
            lane.x = left + column_width + MARGIN + index * distance
    placed = {
        box.name: Box(box.name, lefts[columns[box.name]], box.y, column_width, box.height, box.rows)
        for box in boxes.values()
    }
    rows = {frame.name: frame.row for frame in frames}
    lines = tuple(
        Line(
            pair,
            _points(
                _end(placed, rows, columns, pair, 0),
                _end(placed, rows, columns, pair, 1),
                [lane.x for lane in lanes if lane.pair == pair],
                distance * (far.index(pair) + 0.5) if pair in far else None,
            ),
        )
        for pair in sorted_pairs
    )
    return Layout(
        width=max(left + column_width + size for left, size in zip(lefts, widths, strict=True)),
        height=max(box.y + box.height for box in placed.values()),
        boxes=tuple(placed.values()),
        lines=lines,
    )


def _stacked(
    frames: Sequence[Frame], columns: dict[str, int], pairs: Sequence[Pair], top: float
) -> dict[str, Box]:
    """Returns the boxes, stacked in their columns. Their x coordinates are not computed yet."""
    boxes = {}
    bottoms: dict[int, float] = {}
    for frame in frames:
        column = columns[frame.name]
        others = [
            other
            for one, another in pairs
            for own, other in ((one, another), (another, one))
            if own == frame.name
        ]
        height = frame.body + frame.row * (len(others) + 0.5)
        # Every second column starts half a row lower. Rows of neighboring columns then never have
        # the same y coordinate, so their lines do not overlap.
        y = bottoms.get(column, top + (frame.row / 2 if column % 2 else 0))
        boxes[frame.name] = Box(frame.name, 0, y, 0, height, tuple(others))
        bottoms[column] = y + height + frame.row * 1.5
    return boxes


def _lanes(
    boxes: dict[str, Box], columns: dict[str, int], pairs: Sequence[Pair], top: float
) -> Iterable[_Lane]:
    for pair in pairs:
        left, right = (columns[name] for name in pair)
        start, end = (
            boxes[own].y + boxes[own].rows.index(other) for own, other in (pair, (pair[1], pair[0]))
        )
        if right - left <= 1:
            yield _Lane(pair, left, start, end < start)
        else:
            yield _Lane(pair, left, start, is_upward=True)
            yield _Lane(pair, right - 1, top, is_upward=False)


def _end(
    boxes: dict[str, Box], rows: dict[str, float], columns: dict[str, int], pair: Pair, index: int
) -> Point:
    own, other = pair[index], pair[1 - index]
    box = boxes[own]
    number = box.rows.index(other)
    y = box.y + box.height - rows[own] * (len(box.rows) - number)
    is_left = columns[other] < columns[own]
    return (box.x if is_left else box.x + box.width, y)


def _points(
    start: Point, end: Point, lanes: Sequence[float], above: float | None
) -> tuple[Point, ...]:
    first, last = lanes[0], lanes[-1]
    over = ((first, above), (last, above)) if above is not None else ()
    return (start, (first, start[1]), *over, (last, end[1]), end)


def _towards(corner: Point, other: Point) -> Point:
    """Returns the point on the way to `other` where the rounding of a corner begins."""
    x, y = (b - a for a, b in zip(corner, other, strict=True))
    length = abs(x) + abs(y)
    part = min(CORNER, length / 2) / length if length else 0
    return (corner[0] + x * part, corner[1] + y * part)


def _text(point: Point) -> str:
    return " ".join(f"{value:.1f}" for value in point)
