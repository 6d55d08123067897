"""The timeline: all posts as one list. The index has several partitions (buckets) per month."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from lambdas.common.clock import SYSTEM_CLOCK, Clock, timestamp
from lambdas.common.storage.dynamodb import Item, Table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Query = Callable[[str, str | None, int], list[Item]]
"""A function that returns the posts of one bucket, newest first.

The arguments are the bucket (a partition key of the timeline index, such as `2026-01#0`), the
position of the previous post (None: begin with the newest post), and the maximum number of posts.
"""

MONTHS_ITEM = "timeline-months"
"""The key of the item in the counters table that contains the months with posts."""

MONTHS_PER_PAGE = 12
"""The maximum number of earlier months that are read for a page.

If these months have few posts, the page is short.
"""

_MONTH = len("2026-01")


def bucket(created_at: str, post_id: str, shards: int) -> str:
    """Returns the bucket of a post: its month, and a shard derived from its random id."""
    return _bucket(created_at[:_MONTH], int(post_id[:8], 16) % shards)


def _bucket(month: str, shard: int) -> str:
    return f"{month}#{shard}"


class Months:
    """Records in one item which months have posts, so that lists skip the other months."""

    def __init__(self, dynamodb: "DynamoDBClient", table: str) -> None:
        self._table = Table(dynamodb, table)
        self._recorded: set[str] = set()

    def record(self, created_at: str) -> None:
        """Records the month of a new post. Must be called before the post is stored.

        Each execution environment writes each month only once.
        """
        month = created_at[:_MONTH]
        if month in self._recorded:
            return
        self._table.update(
            {"item_id": MONTHS_ITEM},
            "ADD #months :month",
            names={"#months": "months"},
            values={":month": {month}},
        )
        self._recorded.add(month)

    def list_before(self, month: str) -> list[str]:
        """Returns the recorded months before `month`, newest first."""
        item = self._table.get({"item_id": MONTHS_ITEM})
        months: Iterable[str] = item["months"] if item else ()
        return sorted((other for other in months if other < month), reverse=True)


class Timeline:
    """Reads the buckets of all shards, month by month, as one list."""

    def __init__(
        self, query: Query, months: Months, shards: int, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        """`shards` is the largest number of shards that any month has."""
        self._query = query
        self._months = months
        self._shards = shards
        self._clock = clock

    def list_newest(self, count: int, before: str | None) -> tuple[list[Item], str | None]:
        """Returns up to `count` items, newest first, and the position of the next page.

        The items are older than the position `before`. Without `before`, the page begins with the
        newest item. The position of the next page is None on the last page.

        Usually makes one query per shard. A page can be short or empty even if more items follow.
        """
        month = (before or timestamp(self._clock()))[:_MONTH]
        found = self._of_month(month, before, count + 1)
        if len(found) <= count:
            older = self._months.list_before(month)
            for month in older[:MONTHS_PER_PAGE]:
                found += self._of_month(month, None, count + 1 - len(found))
                if len(found) > count:
                    break
            else:
                # The position of the next page is the last month that was read. It sorts before all
                # positions in that month, so the next page begins with an earlier month.
                return found, month if len(older) > MONTHS_PER_PAGE else None
        return found[:count], found[count - 1]["created_at"]

    def _of_month(self, month: str, before: str | None, count: int) -> list[Item]:
        buckets = [_bucket(month, shard) for shard in range(self._shards)]
        if len(buckets) == 1:
            return self._query(buckets[0], before, count)
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 (unused with one shard)

        with ThreadPoolExecutor(len(buckets)) as threads:
            found = threads.map(lambda key: self._query(key, before, count), buckets)
            merged = sorted(
                (item for items in found for item in items),
                key=lambda i: str(i["created_at"]),
                reverse=True,
            )
        return merged[:count]
