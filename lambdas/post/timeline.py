"""Everybody's posts in time: buckets of a month and a shard in the timeline's index, read as one list."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from lambdas.common.clock import SYSTEM_CLOCK, Clock, timestamp
from lambdas.common.storage.dynamodb import pack, unpack

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Item = dict[str, Any]
Query = Callable[[str, str | None, int], list[Item]]
"""Items of one bucket: its key, the position they are before (None: any), and how many at most; newest first."""

MONTHS_ITEM = "timeline-months"
"""The one item of the counters' table that counts nothing: the months that have posts."""

MONTHS_PER_PAGE = 12
"""Months with posts that one page looks through at most: a page of a platform that hardly posts ends early instead of taking long."""

_MONTH = len("2026-01")


def bucket(created_at: str, post_id: str, shards: int) -> str:
    """The bucket of a post: its month, and a shard by its id, which is random."""
    return _bucket(created_at[:_MONTH], int(post_id[:8], 16) % shards)


def _bucket(month: str, shard: int) -> str:
    return f"{month}#{shard}"


class Months:
    """Which months have posts, in one item, so that a page need not ask those that have none."""

    def __init__(self, dynamodb: "DynamoDBClient", table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._recorded: set[str] = set()

    def record(self, created_at: str) -> None:
        """Called before a post is stored. It writes once a month in each execution environment."""
        month = created_at[:_MONTH]
        if month in self._recorded:
            return
        self._dynamodb.update_item(
            TableName=self._table,
            Key=pack({"item_id": MONTHS_ITEM}),
            UpdateExpression="ADD #months :month",
            ExpressionAttributeNames={"#months": "months"},
            ExpressionAttributeValues={":month": {"SS": [month]}},
        )
        self._recorded.add(month)

    def before(self, month: str) -> list[str]:
        """Months with posts before that one, the newest first."""
        item = self._dynamodb.get_item(
            TableName=self._table, Key=pack({"item_id": MONTHS_ITEM}), ConsistentRead=True
        ).get("Item")
        months: Iterable[str] = unpack(item)["months"] if item else ()
        return sorted((found for found in months if found < month), reverse=True)


class Timeline:
    """Reads the buckets of all shards, month by month, as one list."""

    def __init__(
        self, query: Query, months: Months, shards: int, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        """`shards` is the largest number over which months were ever spread."""
        self._query = query
        self._months = months
        self._shards = shards
        self._clock = clock

    def newest(self, count: int, before: str | None) -> tuple[list[Item], str | None]:
        """Up to so many items before a position, and the position for the next ones, None when there are none.

        Usually one query for each shard. There may be fewer items, even none, although more follow.
        """
        month = (before or timestamp(self._clock()))[:_MONTH]
        found = self._of_month(month, before, count + 1)
        if len(found) <= count:
            older = self._months.before(month)
            for month in older[:MONTHS_PER_PAGE]:
                found += self._of_month(month, None, count + 1 - len(found))
                if len(found) > count:
                    break
            else:
                # A month's name comes before all positions in it: the next page starts at the month before.
                return found, month if len(older) > MONTHS_PER_PAGE else None
        return found[:count], found[count - 1]["created_at"]

    def _of_month(self, month: str, before: str | None, count: int) -> list[Item]:
        buckets = [_bucket(month, shard) for shard in range(self._shards)]
        if len(buckets) == 1:
            return self._query(buckets[0], before, count)
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 (one shard needs no threads)

        with ThreadPoolExecutor(len(buckets)) as threads:
            found = threads.map(lambda key: self._query(key, before, count), buckets)
            merged = sorted(
                (item for items in found for item in items),
                key=lambda i: str(i["created_at"]),
                reverse=True,
            )
        return merged[:count]
