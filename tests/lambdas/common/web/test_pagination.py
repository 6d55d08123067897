"""Tests that only unchanged cursors of the same list are accepted."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdas.common.problems import Problem
from lambdas.common.signing.keys import KeyRing
from lambdas.common.validation import validate
from lambdas.common.web.pagination import Cursors, Page, PageQuery
from tests.lambdas.support import FakeClock, FakeKeys


class PostsQuery(PageQuery, frozen=True, kw_only=True):
    tag: str | None = None


def cursors(newest: int = 1) -> Cursors:
    return Cursors(KeyRing(FakeKeys(newest), FakeClock()))


def cursor(position: Any, query: PageQuery | None = None, scope: str = "posts user-1") -> str:
    text = cursors().page([], query or PostsQuery(), scope, position).next_cursor
    assert isinstance(text, str)
    return text


def read(
    text: str, query: PostsQuery | None = None, scope: str = "posts user-1", newest: int = 1
) -> Any:
    filters = query or PostsQuery()
    return cursors(newest).position(
        PostsQuery(limit=filters.limit, tag=filters.tag, cursor=text), scope
    )


_positions = st.recursive(
    st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(_positions)
def test_reading_a_cursor_returns_the_position_that_it_was_created_with(position: Any) -> None:
    assert read(cursor(position)) == position


@given(st.data())
def test_a_changed_cursor_returns_400(data: st.DataObject) -> None:
    text = cursor({"id": "post-1"})
    at = data.draw(st.integers(0, len(text) - 1))
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    replacement = data.draw(st.sampled_from(alphabet).filter(lambda c: c != text[at]))
    with pytest.raises(Problem) as raised:
        read(text[:at] + replacement + text[at + 1 :])
    assert raised.value.status == 400


@given(st.text())
def test_text_that_is_not_a_cursor_returns_400(text: str) -> None:
    with pytest.raises(Problem) as raised:
        read(text)
    assert raised.value.status == 400


def test_cursors_are_bound_to_list_and_filters_but_not_to_the_limit() -> None:
    text = cursor("here", PostsQuery(tag="a"))
    assert read(text, PostsQuery(tag="a", limit=3)) == "here"
    for different in (
        {"query": PostsQuery(tag="b")},
        {"query": PostsQuery()},
        {"query": PostsQuery(tag="a"), "scope": "posts user-2"},
    ):
        with pytest.raises(Problem):
            read(text, **different)


def test_cursors_survive_one_key_rotation() -> None:
    text = cursor("here")
    assert read(text, newest=2) == "here"
    with pytest.raises(Problem):
        read(text, newest=3)


def test_the_first_and_last_page_have_no_cursor() -> None:
    assert cursors().page([1, 2], PageQuery(), "x", None) == Page(items=[1, 2], next_cursor=None)
    assert cursors().position(PageQuery(), "x") is None


@pytest.mark.parametrize(
    ("limit", "ok"),
    [("1", True), ("100", True), ("0", False), ("101", False), ("x", False), ("1.5", False)],
)
def test_a_limit_must_be_a_number_from_1_to_100(limit: str, ok: bool) -> None:
    if ok:
        assert validate(
            PageQuery, {"limit": limit, "other": "ignored"}, from_text=True
        ).limit == int(limit)
    else:
        with pytest.raises(Problem) as raised:
            validate(PageQuery, {"limit": limit}, from_text=True)
        assert [error.field for error in raised.value.errors] == ["limit"]


def test_the_limit_is_20_by_default() -> None:
    assert validate(PageQuery, {}, from_text=True).limit == 20
