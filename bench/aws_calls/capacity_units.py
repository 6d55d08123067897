"""Computes the capacity units that DynamoDB charges for a call, by AWS's documented rules.

A strongly consistent read uses one read unit per 4 KB, and an eventually consistent read uses half
a unit. A write uses one write unit per 1 KB, and a write in a transaction uses two. If a write also
changes an index, each write to the index uses one write unit per 1 KB, even in a transaction.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

READ_SIZE, WRITE_SIZE = 4096, 1024
Call = Callable[..., Any]
Item = Mapping[str, Any]
Units = dict[str, float]
"""Capacity units. A key is a table or `table/index`, followed by ` reads` or ` writes`."""

_WRITES = {"PutItem": "Put", "UpdateItem": "Update", "DeleteItem": "Delete"}


def item_size(item: Item) -> int:
    """Returns the approximate size of an item in bytes: the names and values of its attributes."""
    return sum(len(name) + _value_size(value) for name, value in item.items())


def _value_size(value: Mapping[str, Any]) -> int:
    [(kind, content)] = value.items()
    if kind == "M":
        return 3 + sum(len(name) + 1 + _value_size(part) for name, part in content.items())
    if kind == "L":
        return 3 + sum(1 + _value_size(part) for part in content)
    if kind in {"SS", "NS"}:
        return sum(map(len, content))
    if kind in {"S", "B"}:
        return len(content.encode() if isinstance(content, str) else content)
    return math.ceil(len(content) / 2) + 1 if kind == "N" else 1


class UnitCounter:
    """Computes the capacity units of a call from the tables' items before and after each write."""

    def __init__(self, call: Call) -> None:
        """`call` makes a DynamoDB call that is not counted.

        It takes the operation's name and parameters.
        """
        self._call = call
        self._tables: dict[str, Any] = {}
        self.used: Units = defaultdict(float)

    def run(self, operation: str, parameters: Mapping[str, Any], work: Callable[[], Any]) -> Any:
        """Calls `work`, which makes the DynamoDB call, and returns its response.

        Adds the capacity units of the call to `used`.
        """
        units = self.used
        writes = list(_writes(operation, parameters))
        before = [self._find(*_target(kind, write, self)) for kind, write in writes]
        response = work()
        factor = 2 if operation == "TransactWriteItems" else 1
        for (kind, write), old in zip(writes, before, strict=True):
            table, key = _target(kind, write, self)
            new = self._find(table, key)
            size = max(item_size(old or {}), item_size(new or {}), 1)
            units[f"{table} writes"] += factor * math.ceil(size / WRITE_SIZE)
            for index, count in self._index_writes(table, old or {}, new or {}):
                units[f"{table}/{index} writes"] += count * math.ceil(size / WRITE_SIZE)
        self._count_reads(operation, parameters, response, units)
        return response

    def describe(self, table: str) -> Any:
        if table not in self._tables:
            self._tables[table] = self._call("DescribeTable", {"TableName": table})["Table"]
        return self._tables[table]

    def _find(self, table: str, key: Item) -> Item | None:
        arguments = {"TableName": table, "Key": key, "ConsistentRead": True}
        found: Item | None = self._call("GetItem", arguments).get("Item")
        return found

    def _index_writes(self, table: str, old: Item, new: Item) -> Iterator[tuple[str, int]]:
        """Yields each index that a write of an item changes, with the number of index writes.

        A changed key causes 2 writes, because DynamoDB deletes the old entry and adds a new one.
        """
        for index in self.describe(table).get("GlobalSecondaryIndexes", []):
            names = [part["AttributeName"] for part in index["KeySchema"]]
            keys = [
                tuple(str(item[name]) for name in names) if all(n in item for n in names) else None
                for item in (old, new)
            ]
            if keys[0] == keys[1] and (keys[0] is None or old == new):
                continue
            yield index["IndexName"], len({key for key in keys if key is not None})

    def _count_reads(
        self, operation: str, parameters: Mapping[str, Any], response: Any, units: Units
    ) -> None:
        share = 1.0 if parameters.get("ConsistentRead") else 0.5
        if operation == "GetItem":
            item = response.get("Item", {})
            units[f"{parameters['TableName']} reads"] += share * _blocks(item_size(item))
        elif operation in {"Query", "Scan"}:
            name = parameters.get("IndexName")
            place = parameters["TableName"] + (f"/{name}" if name else "")
            size = sum(map(item_size, response["Items"]))
            units[f"{place} reads"] += share * _blocks(size)
        elif operation == "BatchGetItem":
            for table, request in parameters["RequestItems"].items():
                share = 1.0 if request.get("ConsistentRead") else 0.5
                found = response["Responses"].get(table, [])
                blocks = sum(_blocks(item_size(item)) for item in found)
                blocks += len(request["Keys"]) - len(found)
                units[f"{table} reads"] += share * blocks


def _blocks(size: int) -> int:
    return max(1, math.ceil(size / READ_SIZE))


def _writes(operation: str, parameters: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yields the kind (such as `Put`) and the parameters of each write in a call."""
    if operation in _WRITES:
        yield _WRITES[operation], parameters
    elif operation == "TransactWriteItems":
        for entry in parameters["TransactItems"]:
            yield from entry.items()
    elif operation == "BatchWriteItem":
        for table, requests in parameters["RequestItems"].items():
            for request in requests:
                for kind, write in request.items():
                    yield kind.removesuffix("Request"), {"TableName": table, **write}


def _target(kind: str, write: Mapping[str, Any], counter: UnitCounter) -> tuple[str, Item]:
    table = write["TableName"]
    if kind != "Put":
        return table, write["Key"]
    names = [part["AttributeName"] for part in counter.describe(table)["KeySchema"]]
    return table, {name: write["Item"][name] for name in names}
