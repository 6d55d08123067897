"""Hypothesis strategies for JSON values, derived from the schemas of the API's descriptions.

Valid values are those that a schema accepts. An `EarlierValue` represents a value of an earlier
response. The value is chosen when the request is sent, so that a case does not depend on the
platform's state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hypothesis import strategies as st
from msgspec import Struct

from tests.api_description import Document, Schema
from tests.e2e.support.users import PASSWORD

Json = Any
"""A JSON value in which an `EarlierValue` can take the place of any text."""

RESPONSE_FIELDS: Mapping[str, str] = {
    "attachments": "key",
    "authorId": "userId",
    "category": "slug",
    "context": "roomId",
    "cursor": "nextCursor",
    "images": "key",
    "parentId": "commentId",
    "replyTo": "messageId",
    "sellerId": "userId",
}
"""The field of responses that contains values for a field of requests, if the names differ."""

HOSTILE = (
    *("", " ", "\0", "\n", "\x1b[31m", "\x7f", "\u200b", "\u2060", "\u3164", "\u2800", "\ufeff"),
    *("\u202egpj.exe", "\u2066x", "\ud800", "e\u0301", "\ufdfa" * 300, "e" + "\u0301" * 300),
    *("\u0130", "\u00df", "\uff21\uff12", "\U0001f1e9\U0001f1ea", "\U0001f468\u200d\U0001f469"),
    *("null", "true", "-1", "05", "5.0", "1e9", "NaN", "\u0665", "9" * 400, "x" * 65, "x" * 1025),
    *("x" * 2049, "x" * 5001, "\u4e16" * 10_001, "x" * 70_000, "a#b", "#", "room#seq", "a b"),
    *("..", "../../etc/passwd", "%00", "%2e%2e%2f", "a/b", "$context.requestId", "' OR 1=1 --"),
    *(
        "${jndi:ldap://x}",
        "<script>alert(1)</script>",
        "{{7*7}}",
        "a@b",
        "\U0010ffff",
        "\ufffe",
        "\u0301",
    ),
)
"""Texts that programs often mishandle."""

VALID_TEXTS = (
    *("a", "Ada", "The Who", "caf\u00e9", "Stra\u00dfe", "\u4e16\u754c", "\U0001f44d", "en"),
    *("pt-BR", "EUR", "JPY", "electronics", "https://example.com/a?b=c", "123456", "public"),
    *("x" * 49, "tag", "image/png", "application/pdf", "image.png", "French", "Europe/Berlin"),
)

NUMBERS = (0, 1, -1, 2, 100, 101, 2**31, 2**53, 2**63, 2**64, 10**30, -(2**63), 0.5, 5.0, 1e300)


class EarlierValue(Struct, frozen=True):
    """A text that an earlier response contained in the field `name`.

    `index` selects one of several texts. If `related` is true, texts from objects that also contain
    the ids in the request's path are preferred.
    """

    name: str
    index: int
    related: bool = True


def earlier_values(name: str) -> st.SearchStrategy[EarlierValue]:
    return st.builds(EarlierValue, st.just(name), st.integers(0, 63), st.integers(0, 3).map(bool))


hostile_texts = st.sampled_from(HOSTILE) | st.text(max_size=20)
hostile_values: st.SearchStrategy[Json] = st.one_of(
    st.none(),
    hostile_texts,
    st.sampled_from(NUMBERS),
    st.booleans(),
    st.lists(st.sampled_from(("", 1, None)), max_size=3),
    st.lists(hostile_texts, min_size=1, max_size=2),
    st.just(["x"] * 1000),
    st.just({}),
    st.just({"a": {"b": ["c"]}}),
    st.dictionaries(hostile_texts, st.none(), max_size=2),
)


class Values:
    """Strategies for the values that the schemas of a description accept."""

    def __init__(self, document: Document) -> None:
        self._document = document

    def valid(self, schema: Schema) -> st.SearchStrategy[dict[str, Json]]:
        """Returns a strategy for objects that the schema accepts.

        The value that is chosen later for an `EarlierValue` can still violate the schema.
        """
        schema = self._document.resolve(schema)
        fields = {name: self.for_field(field, name) for name, field in schema["properties"].items()}
        required = schema.get("required", ())
        return st.fixed_dictionaries(
            {name: values for name, values in fields.items() if name in required},
            optional={name: values for name, values in fields.items() if name not in required},
        )

    def nearly_valid(self, schema: Schema) -> st.SearchStrategy[dict[str, Json]]:
        """Returns a strategy for objects that differ from a valid object in one or two fields."""
        names = [*self._document.resolve(schema)["properties"], "unknownField", "__proto__"]
        changes = st.tuples(st.sampled_from(names), st.integers(0, 3), hostile_values)
        return st.builds(_changed, self.valid(schema), st.lists(changes, min_size=1, max_size=2))

    def for_field(self, schema: Schema, name: str) -> st.SearchStrategy[Json]:
        """Returns a strategy for the values of a field with this name."""
        schema = self._document.resolve(schema)
        if "enum" in schema:
            return st.sampled_from(schema["enum"])
        if "anyOf" in schema:
            # Hypothesis prefers the first alternatives, so null comes last.
            options = sorted(schema["anyOf"], key=lambda option: option.get("type") == "null")
            return st.one_of([self.for_field(option, name) for option in options])
        return _STRATEGIES[schema["type"]](self, schema, name)

    def object(self, schema: Schema, _name: str) -> st.SearchStrategy[Json]:
        if "properties" in schema:
            return self.valid(schema)
        keys = self.for_field({"type": "string", **schema.get("propertyNames", {})}, "")
        return st.dictionaries(keys, self.for_field(schema["additionalProperties"], ""), max_size=2)

    def array(self, schema: Schema, name: str) -> st.SearchStrategy[Json]:
        return st.lists(
            self.for_field(schema["items"], name), max_size=min(3, schema.get("maxItems", 3))
        )

    def string(self, schema: Schema, name: str) -> st.SearchStrategy[Json]:
        if schema.get("format") in _FORMATS:
            return _FORMATS[schema["format"]]()
        validator = self._document.validator(schema)
        longest = "\u4e16" * schema.get("maxLength", 20_000)
        texts = [
            text
            for text in (*schema.get("examples", ()), *VALID_TEXTS, *HOSTILE, longest)
            if "\ud800" not in text and validator.is_valid(text)
        ]
        response_field = RESPONSE_FIELDS.get(name, name)
        # The key of an upload must come from an earlier response. No sample text is such a key.
        if response_field == "key" or not texts:
            return earlier_values(response_field)
        refers = name in RESPONSE_FIELDS or name.endswith(("Id", "key", "oken", "code"))
        return (
            earlier_values(response_field) | st.sampled_from(texts)
            if refers
            else st.sampled_from(texts)
        )


def _changed(value: dict[str, Json], changes: list[tuple[str, int, Json]]) -> dict[str, Json]:
    value = dict(value)
    for name, kind, replacement in changes:
        if name in value and kind == 0:
            del value[name]
        else:
            value[name] = replacement
    return value


def _integers(_: Values, schema: Schema, _name: str) -> st.SearchStrategy[int]:
    low = schema.get("minimum", 0)
    high = schema.get("maximum", low + 10**6)
    small = st.integers(low, min(low + 200, high))
    return small | st.integers(low, high) | st.sampled_from((low, high))


def _emails() -> st.SearchStrategy[Json]:
    unused = st.integers(0, 10**9).map(lambda number: f"fuzz-{number}@example.com")
    return (
        earlier_values("email")
        | unused
        | st.sampled_from(("A@EXAMPLE.com", "\u00fc@b\u00fccher.example"))
    )


def _passwords() -> st.SearchStrategy[Json]:
    return earlier_values("password") | st.sampled_from(
        (PASSWORD, "Other-horse-2", "Passwo\u0301rd-1", "Aa1!" + "\u4e16" * 200)
    )


_FORMATS: Mapping[str, Callable[[], st.SearchStrategy[Json]]] = {
    "email": _emails,
    "password": _passwords,
}
_STRATEGIES: Mapping[str, Callable[[Values, Schema, str], st.SearchStrategy[Json]]] = {
    "array": Values.array,
    "boolean": lambda *_: st.booleans(),
    "integer": _integers,
    "null": lambda *_: st.none(),
    "number": lambda *_: st.floats(allow_nan=False, allow_infinity=False),
    "object": Values.object,
    "string": Values.string,
}


def resolve(value: Json, choose: Callable[[EarlierValue], str]) -> Json:
    """Returns the value with each `EarlierValue` replaced by the text that `choose` returns."""
    if isinstance(value, EarlierValue):
        return choose(value)
    if isinstance(value, list):
        return [resolve(item, choose) for item in value]
    if isinstance(value, dict):
        return {name: resolve(item, choose) for name, item in value.items()}
    return value
