"""Tests that one error names all invalid fields of a request, with the names from the request."""

from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import Meta

from lambdas.common.problems import Problem
from lambdas.common.text import normalize
from lambdas.common.validation import Body, EmailAddress, validate


class Price(Body, frozen=True, kw_only=True):
    amount: Annotated[int, Meta(ge=0)]
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$", description="must be an ISO 4217 code")]


class Listing(Body, frozen=True, kw_only=True):
    title: Annotated[str, Meta(min_length=1, max_length=5)]
    price: Price
    tags: Annotated[list[Annotated[str, Meta(max_length=3)]], Meta(max_length=2)] = msgspec.field(
        default_factory=list
    )
    alternatives: list[Price] | None = None
    labels: dict[str, Annotated[str, Meta(max_length=3)]] | None = None
    reply_to: str | None = None


GOOD: dict[str, Any] = {"title": "Chair", "price": {"amount": 1, "currency": "EUR"}}


def errors_of(values: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(Problem) as raised:
        validate(Listing, values)
    assert raised.value.status == 422
    return {error.field: error.message for error in raised.value.errors}


def test_valid_input_becomes_a_struct() -> None:
    listing = validate(Listing, {**GOOD, "replyTo": "x"})
    assert (listing.price.amount, listing.reply_to) == (1, "x")


def test_all_invalid_fields_are_reported() -> None:
    errors = errors_of(
        {
            "title": "too long",
            "price": {"amount": -1, "extra": 1},
            "tags": ["ok", "long", 3],
            "alternatives": [GOOD["price"], {"amount": "1", "currency": "eur"}],
            "labels": {"a": "long"},
            "reply_to": "x",
        }
    )
    assert errors.keys() == {
        "title",
        "price.amount",
        "price.currency",
        "price.extra",
        "tags.1",
        "tags.2",
        "alternatives.1.amount",
        "alternatives.1.currency",
        "labels.a",
        "reply_to",
    }
    assert errors["price.currency"] == "is required"
    assert errors["alternatives.1.currency"] == "must be an ISO 4217 code"
    assert errors["reply_to"] == errors["price.extra"] == "is not a known field"
    assert errors["alternatives.1.amount"] == "expected int, got str"


def test_lists_that_are_too_long_and_values_of_a_wrong_type_are_reported() -> None:
    assert errors_of({**GOOD, "tags": ["a", "b", "c"]}).keys() == {"tags"}
    assert errors_of({**GOOD, "price": "1 EUR"}).keys() == {"price"}
    assert errors_of({**GOOD, "alternatives": "none"}).keys() == {"alternatives"}


def test_strings_are_parsed_as_numbers_only_if_from_text_is_set() -> None:
    values = {"amount": "5", "currency": "EUR"}
    assert validate(Price, values, from_text=True).amount == 5
    with pytest.raises(Problem):
        validate(Price, values)


_names = st.sampled_from(
    ["title", "price", "tags", "alternatives", "labels", "replyTo", "amount", "currency"]
)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["", "x", "EUR", "too long"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=60)
@example({"\uf900": None})  # NFC replaces this character
@given(st.dictionaries(_names | st.text(max_size=3), _json, max_size=6))
def test_any_object_is_accepted_or_rejected_with_field_names(values: dict[str, Any]) -> None:
    values = normalize(values)
    try:
        msgspec.convert(values, Listing)
    except msgspec.ValidationError:
        assert {field.split(".")[0] for field in errors_of(values)} <= {
            *(k.split(".")[0] for k in values),
            "title",
            "price",
        }
        assert errors_of(values)
    else:
        assert validate(Listing, values)


class Contact(Body, frozen=True, kw_only=True):
    email: EmailAddress


@pytest.mark.parametrize(
    "email", ["a@b.co", "first.last+tag@sub.example.com", "ü@xn--bcher-kva.example"]
)
def test_valid_email_addresses_are_accepted(email: str) -> None:
    assert validate(Contact, {"email": email}).email == email


@pytest.mark.parametrize(
    "email",
    [
        "",
        "a",
        "a@b",
        "@b.co",
        "a@",
        "a b@c.de",
        "a@b@c.de",
        "a@b..de",
        "a@b.co\n",
        "a@" + "b" * 130 + ".de",
        1,
    ],
)
def test_invalid_email_addresses_are_rejected(email: object) -> None:
    with pytest.raises(Problem) as raised:
        validate(Contact, {"email": email})
    assert [error.field for error in raised.value.errors] == ["email"]
