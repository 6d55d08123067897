"""Tests reads and writes of tables, on moto."""

import re
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

import lambdas
from lambdas.common.problems import Problem
from lambdas.common.storage.dynamodb import (
    ConditionFailedError,
    Table,
    get_from_tables,
    pack,
    succeeds,
    unpack,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

CreateTable = Callable[..., str]


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def items(dynamodb: "DynamoDBClient", table: CreateTable, pauses: list[float]) -> Table:
    """A table with the key `item_id` and an index by `owner`."""
    return Table(dynamodb, table("item_id", "owner"), pauses.append)


def test_packed_values_are_unpacked_unchanged() -> None:
    values = {"s": "x", "n": 5, "b": True, "none": None, "list": [1, "a"], "map": {"k": 2}}
    assert unpack(pack(values)) == values
    assert unpack({"half": {"N": "0.5"}}) == {"half": 0.5}


def test_single_writes_take_effect_and_return_the_selected_attributes(items: Table) -> None:
    key = {"item_id": "a"}
    items.put({**key, "count": 1, "name": "x"})
    assert items.get(key) == {"item_id": "a", "count": 1, "name": "x"}
    assert items.get(key, ("name", "absent")) == {"name": "x"}
    added = items.update(
        key,
        "ADD #count :two",
        names={"#count": "count"},
        values={":two": 2},
        returns="UPDATED_NEW",
    )
    assert added == {"count": 3}
    assert items.update(key, "REMOVE #name", names={"#name": "name"}) == {}
    assert items.delete(key, returns="ALL_OLD") == {"item_id": "a", "count": 3}
    assert items.delete(key, returns="ALL_OLD") == {}
    assert items.get(key) is None


def test_a_failed_condition_prevents_every_kind_of_write(items: Table) -> None:
    key, item = {"item_id": "a"}, {"item_id": "a", "count": 1}
    items.put(item, condition="attribute_not_exists(item_id)")
    with pytest.raises(ConditionFailedError):
        items.put({**item, "count": 2}, condition="attribute_not_exists(item_id)")
    two: Any = {"condition": "#count = :two", "names": {"#count": "count"}, "values": {":two": 2}}
    with pytest.raises(ConditionFailedError):
        items.update(key, "SET #count = :two", **two)
    with pytest.raises(ConditionFailedError):
        items.delete(key, **two)
    assert items.get(key) == item
    assert not succeeds(lambda: items.delete(key, **two))
    assert succeeds(lambda: items.delete(key, condition="attribute_exists(item_id)"))


def test_a_single_write_is_retried_when_it_conflicts_with_a_transaction(
    items: Table,
    dynamodb: "DynamoDBClient",
    pauses: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put, codes = dynamodb.put_item, ["TransactionConflictException"] * 2

    def busy(**arguments: Any) -> Any:
        if codes:
            raise ClientError({"Error": {"Code": codes.pop()}}, "PutItem")
        return put(**arguments)

    monkeypatch.setattr(dynamodb, "put_item", busy)
    items.put({"item_id": "a"})
    assert items.get({"item_id": "a"})
    assert len(pauses) == 2
    codes.append("ValidationException")
    with pytest.raises(ClientError, match="ValidationException"):
        items.put({"item_id": "b"})


# --- queries ---


def test_a_query_reads_only_the_pages_that_its_caller_iterates(
    items: Table, dynamodb: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        items.put({"item_id": str(number), "owner": "ann", "name": "x", "even": number % 2 == 0})
    query, calls = dynamodb.query, list[Any]()

    def counted(**arguments: Any) -> Any:
        calls.append(arguments)
        return query(**arguments)

    monkeypatch.setattr(dynamodb, "query", counted)
    iterator = items.query(
        "#owner = :owner",
        {":owner": "ann", ":true": True},
        names={"#owner": "owner"},
        where="even = :true",
        index="owner-index",
        attributes=("item_id", "name"),
        page_size=2,
    )
    first, second = next(iterator), next(iterator)
    assert len(calls) < 4
    rest = list(iterator)
    ids = {item["item_id"] for item in (first, second, *rest)}
    assert ids == {"0", "2", "4"}
    assert first == {"item_id": first["item_id"], "name": "x"}
    [later, *_] = items.query(
        "#owner = :owner",
        {":owner": "ann"},
        names={"#owner": "owner"},
        index="owner-index",
        start_after={"item_id": first["item_id"], "owner": "ann"},
    )
    assert later["item_id"] != first["item_id"]


class PagedTable:
    """A fake DynamoDB client.

    It ends each page after `Limit` items or PAGE bytes, and filters the items of the page
    afterwards.
    """

    PAGE = 1000

    def __init__(self, sizes: list[int], kept: list[bool]) -> None:
        self.items = [
            {"item_id": f"{index}", "size": size, "kept": keep}
            for index, (size, keep) in enumerate(zip(sizes, kept, strict=True))
        ]

    def query(self, **arguments: Any) -> Any:
        start = unpack(arguments.get("ExclusiveStartKey", {})).get("item_id")
        first = 0 if start is None else int(start) + 1
        page: list[Any] = []
        for item in self.items[first:]:
            size = sum(other["size"] for other in page)
            if len(page) == arguments.get("Limit") or (page and size + item["size"] > self.PAGE):
                break
            page.append(item)
        result: Any = {"Items": [pack(item) for item in page if item["kept"]]}
        if page and page[-1] is not self.items[-1]:
            result["LastEvaluatedKey"] = pack({"item_id": page[-1]["item_id"]})
        return result


@given(
    items=st.lists(st.tuples(st.integers(1, 1500), st.booleans()), max_size=40),
    page_size=st.none() | st.integers(1, 50),
    wanted=st.integers(1, 50),
)
def test_a_query_returns_the_whole_list_for_any_item_sizes(
    items: list[tuple[int, bool]], page_size: int | None, wanted: int
) -> None:
    """DynamoDB ends a page at 1 MB of items before it filters, so a page can be empty."""
    client: Any = PagedTable([size for size, _ in items], [kept for _, kept in items])
    table = Table(client, "items")
    everything = [item for item in client.items if item["kept"]]
    results = table.query("owner = :o", {":o": "ann"}, page_size=page_size)
    assert list(islice(results, wanted)) == everything[:wanted]
    after = {"item_id": everything[0]["item_id"]} if everything else None
    remaining = table.query("owner = :o", {":o": "ann"}, start_after=after, page_size=page_size)
    assert list(remaining) == everything[1:]


def test_only_the_dynamodb_module_handles_pagination() -> None:
    """A module that calls DynamoDB itself could ignore LastEvaluatedKey and miss items."""
    code = Path(lambdas.__file__).parent
    reading = re.compile(r"\b(client|dynamodb)\.(query|scan)\b")
    readers = {path.name for path in code.rglob("*.py") if reading.search(path.read_text())}
    assert readers == {"dynamodb.py"}


def test_a_scan_yields_the_matching_items_of_all_pages(
    items: Table, dynamodb: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        items.put({"item_id": str(number), "count": number})
    scan = dynamodb.scan
    monkeypatch.setattr(dynamodb, "scan", lambda **sent: scan(**sent, Limit=2))
    matching = items.scan("item_id > :least", {":least": "1"}, ("item_id",))
    assert sorted(item["item_id"] for item in matching) == ["2", "3", "4", "5"]


# --- batches ---


def test_a_batch_reads_100_keys_per_call_and_retries_unprocessed_keys(
    items: Table,
    dynamodb: "DynamoDBClient",
    pauses: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for number in range(150):
        items.put({"item_id": str(number), "count": number, "other": "x"})
    read, calls = dynamodb.batch_get_item, list[int]()

    def busy(**arguments: Any) -> Any:
        keys = arguments["RequestItems"][items.name]["Keys"]
        calls.append(len(keys))
        if len(calls) != 1:
            return read(**arguments)
        unprocessed = {items.name: {**arguments["RequestItems"][items.name], "Keys": keys[60:]}}
        arguments["RequestItems"][items.name]["Keys"] = keys[:60]
        return {**read(**arguments), "UnprocessedKeys": unprocessed}

    monkeypatch.setattr(dynamodb, "batch_get_item", busy)
    numbers = [*range(150, -1, -1), 3]
    results = items.get_many([{"item_id": str(number)} for number in numbers], ["count"])
    assert results == [
        None,
        *({"item_id": str(number), "count": number} for number in range(149, -1, -1)),
        {"item_id": "3", "count": 3},
    ]
    assert calls == [100, 40, 51]
    assert len(pauses) == 1


def test_a_batch_of_several_tables_returns_items_in_the_order_of_the_keys(
    items: Table, dynamodb: "DynamoDBClient", table: CreateTable
) -> None:
    others = Table(dynamodb, table("other_id"))
    items.put({"item_id": "a", "table": "items"})
    others.put({"other_id": "a", "table": "others"})
    keys: list[Any] = [(others, {"other_id": "a"}), (items, {"item_id": "b"})]
    results = get_from_tables([*keys, (items, {"item_id": "a"})])
    assert [item and item["table"] for item in results] == ["others", None, "items"]
    assert get_from_tables([]) == []


def test_batches_that_stay_unprocessed_raise_503_before_the_request_times_out(
    items: Table,
    dynamodb: "DynamoDBClient",
    pauses: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def read_nothing(**arguments: Any) -> Any:
        return {"Responses": {}, "UnprocessedKeys": arguments["RequestItems"]}

    def write_nothing(**arguments: Any) -> Any:
        return {"UnprocessedItems": arguments["RequestItems"]}

    monkeypatch.setattr(dynamodb, "batch_get_item", read_nothing)
    monkeypatch.setattr(dynamodb, "batch_write_item", write_nothing)
    keys = [{"item_id": "1"}]
    for run in (items.get_many, items.delete_many):
        pauses.clear()
        with pytest.raises(Problem) as outage:
            run(keys)
        assert outage.value.status == 503
        assert len(pauses) > 8
        assert sum(pauses) < 7


def test_a_batch_deletes_25_items_per_call_and_retries_unprocessed_ones(
    items: Table,
    dynamodb: "DynamoDBClient",
    pauses: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for number in range(31):
        items.put({"item_id": str(number)})
    write, calls = dynamodb.batch_write_item, list[int]()

    def busy(**arguments: Any) -> Any:
        calls.append(len(arguments["RequestItems"][items.name]))
        if len(calls) == 1:
            return {"UnprocessedItems": arguments["RequestItems"]}
        return write(**arguments)

    monkeypatch.setattr(dynamodb, "batch_write_item", busy)
    items.delete_many({"item_id": str(number)} for number in range(30))
    assert items.get({"item_id": "30"})
    assert dynamodb.scan(TableName=items.name)["Count"] == 1
    assert calls == [25, 25, 5]
    assert len(pauses) == 1
