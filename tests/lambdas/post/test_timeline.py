"""Tests of the timeline over months and shards: its order, and the queries of a page."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambdas.post.records import position
from lambdas.post.timeline import MONTHS_PER_PAGE, Timeline, bucket
from tests.lambdas.support import FakeClock

YEAR = 2026


def at(month: int, second: int = 0, year: int = YEAR) -> float:
    return (
        datetime(year + (month - 1) // 12, (month - 1) % 12 + 1, 10, tzinfo=UTC).timestamp()
        + second
    )


class Index:
    """A fake of the timeline's index that records queries."""

    def __init__(self, times: Iterable[float], shards: int) -> None:
        self.items: dict[str, list[dict[str, Any]]] = {}
        self.months_read = 0
        self.queries: list[str] = []
        self._recorded: set[str] = set()
        for number, seconds in enumerate(times):
            post_id = f"{number * 2654435761 % 2**32:08x}{number:024x}"
            created_at = position(seconds, post_id)
            self._recorded.add(created_at[:7])
            self.items.setdefault(bucket(created_at, post_id, shards), []).append(
                {"created_at": created_at}
            )

    def query(self, key: str, before: str | None, count: int) -> list[dict[str, Any]]:
        self.queries.append(key)
        earlier = [i for i in self.items.get(key, []) if before is None or i["created_at"] < before]
        return sorted(earlier, key=lambda i: str(i["created_at"]), reverse=True)[:count]

    def list_before(self, month: str) -> list[str]:
        self.months_read += 1
        return sorted((m for m in self._recorded if m < month), reverse=True)

    def expected(self) -> list[str]:
        return sorted(
            (i["created_at"] for items in self.items.values() for i in items), reverse=True
        )


def timeline(index: Any, now: float, shards: int) -> Timeline:
    return Timeline(index.query, index, shards, FakeClock(now))


def pages(posts: Timeline, count: int) -> list[list[str]]:
    result, before = [], None
    while True:
        items, before = posts.list_newest(count, before)
        result.append([item["created_at"] for item in items])
        if before is None:
            return result


@pytest.mark.parametrize("shards", [1, 4])
def test_a_page_makes_one_query_per_shard(shards: int) -> None:
    index = Index([at(6, i) for i in range(100)], shards)
    items, before = timeline(index, at(6, 1000), shards).list_newest(20, None)
    assert sorted(index.queries) == [f"{YEAR}-06#{shard}" for shard in range(shards)]
    assert index.months_read == 0
    assert [item["created_at"] for item in items] == index.expected()[:20]
    assert before == items[-1]["created_at"]


def test_months_without_posts_are_not_queried() -> None:
    index = Index([at(1, i) for i in range(30)], 1)
    items, _ = timeline(index, at(120), 1).list_newest(20, None)
    assert len(items) == 20
    assert index.queries == ["2035-12#0", f"{YEAR}-01#0"]
    assert index.months_read == 1


def test_pages_are_short_if_months_have_few_posts() -> None:
    index = Index([at(month) for month in range(1, 61)], 1)
    posts = timeline(index, at(61), 1)
    listed = pages(posts, 100)
    assert [created for page in listed for created in page] == index.expected()
    assert [len(page) for page in listed] == [MONTHS_PER_PAGE] * 5
    assert len(index.queries) <= 60 + 2 * len(listed)


def test_the_list_continues_after_months_whose_posts_are_deleted() -> None:
    index = Index([at(month) for month in range(1, 41)], 1)
    for month in range(2, 41):
        index.items.pop(f"{YEAR + (month - 1) // 12}-{(month - 1) % 12 + 1:02d}#0")
    assert [
        created for page in pages(timeline(index, at(41), 1), 10) for created in page
    ] == index.expected()
    assert len(index.expected()) == 1


def test_new_posts_between_pages_do_not_shift_the_next_page() -> None:
    index = Index([at(6, i) for i in range(50)], 4)
    posts, expected = timeline(index, at(6, 1000), 4), index.expected()
    listed, before = [], None
    for arrival in range(5):
        items, before = posts.list_newest(10, before)
        listed += [item["created_at"] for item in items]
        post_id = f"{arrival:032x}"
        key = bucket(position(at(6, 500 + arrival), post_id), post_id, 4)
        index.items.setdefault(key, []).append(
            {"created_at": position(at(6, 500 + arrival), post_id)}
        )
    assert listed == expected


@settings(max_examples=40)
@given(
    st.lists(st.integers(0, 8 * 31 * 86_400), max_size=40),
    st.integers(1, 4),
    st.integers(1, 12),
)
def test_pages_contain_each_post_once_for_any_times_shards_and_page_sizes(
    offsets: list[int], shards: int, count: int
) -> None:
    # Each time occurs twice, because positions must distinguish equal times.
    index = Index([at(1) + offset for offset in offsets for _ in range(2)], shards)
    listed = pages(timeline(index, at(12), shards), count)
    assert [created for page in listed for created in page] == index.expected()
    assert all(len(page) == count for page in listed[:-1])
