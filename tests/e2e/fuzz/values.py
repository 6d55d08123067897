"""Hypothesis strategies for JSON values, derived from the types of request models.

Valid values are those that the model accepts. A `Known` stands for a value of an earlier response,
which is chosen when the request is sent, so that a case does not depend on the platform's state.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from hypothesis import strategies as st
from msgspec import Struct, inspect, structs

from lambdas.auth.models import StrongPassword
from lambdas.common.text import Email, Password
from tests.e2e.support.users import PASSWORD

Json = Any
"""A JSON value in which a text can be a `Known`."""

NAMES_OF: Mapping[str, str] = {
    "attachments": "key",
    "author_id": "userId",
    "category": "slug",
    "context": "roomId",
    "cursor": "nextCursor",
    "images": "key",
    "parent_id": "commentId",
    "reply_to": "messageId",
    "seller_id": "userId",
}
"""Fields of requests whose values have another name in responses."""

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


class Known(Struct, frozen=True):
    """The text of this name from an earlier response.

    `index` selects one of the known texts. If `related`, those that occurred together with the ids
    of the request's path are preferred.
    """

    name: str
    index: int
    related: bool = True


def known(name: str) -> st.SearchStrategy[Known]:
    return st.builds(Known, st.just(name), st.integers(0, 63), st.integers(0, 3).map(bool))


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


def valid(model: type[Struct]) -> st.SearchStrategy[dict[str, Json]]:
    """Returns objects that the model accepts, unless a `Known` does not fit."""
    required: dict[str, st.SearchStrategy[Json]] = {}
    optional: dict[str, st.SearchStrategy[Json]] = {}
    for field in structs.fields(model):
        values = _of(inspect.type_info(field.type), field.name, field.encode_name)
        (required if field.required else optional)[field.encode_name] = values
    return st.fixed_dictionaries(required, optional=optional)


@st.composite
def nearly_valid(draw: st.DrawFn, model: type[Struct]) -> dict[str, Json]:
    """Returns objects that differ from a valid one in one or two fields."""
    value = dict(draw(valid(model)))
    names = [field.encode_name for field in structs.fields(model)]
    for _ in range(draw(st.integers(1, 2))):
        name = draw(st.sampled_from([*names, "unknownField", "__proto__"]))
        if name in value and draw(st.integers(0, 3)) == 0:
            del value[name]
        else:
            value[name] = draw(hostile_values)
    return value


def _of(info: Any, name: str, encoded: str) -> st.SearchStrategy[Json]:
    """Returns a strategy for a type. `name` and `encoded` are those of the field that has it."""
    if type(info) not in _STRATEGIES:
        raise TypeError(f"{name} has the type {info}, for which there is no strategy")
    return _STRATEGIES[type(info)](info, name, encoded)


def _union(info: inspect.UnionType, name: str, encoded: str) -> st.SearchStrategy[Json]:
    # Hypothesis prefers the first alternatives.
    types = sorted(info.types, key=lambda kind: isinstance(kind, inspect.NoneType))
    return st.one_of([_of(kind, name, encoded) for kind in types])


def _list(info: Any, name: str, encoded: str) -> st.SearchStrategy[Json]:
    most = min(3, info.max_length or 3)
    return st.lists(_of(info.item_type, name, encoded), max_size=most)


def _dict(info: inspect.DictType, *_: str) -> st.SearchStrategy[Json]:
    keys, values = _of(info.key_type, "", ""), _of(info.value_type, "", "")
    return st.dictionaries(keys, values, max_size=2)


def _integers(info: inspect.IntType, *_: str) -> st.SearchStrategy[int]:
    low = info.ge if info.ge is not None else 0
    high = info.le if info.le is not None else low + 10**6
    small = st.integers(low, min(low + 200, high))
    return small | st.integers(low, high) | st.sampled_from((low, high))


def _texts(info: inspect.StrType, name: str, encoded: str) -> st.SearchStrategy[Json]:
    def accepts(text: str) -> bool:
        return (
            (info.min_length or 0) <= len(text) <= (info.max_length or 10**6)
            and re.search(info.pattern or "", text) is not None
            and "\ud800" not in text
        )

    examples = [text for text in VALID_TEXTS if accepts(text)]
    unusual = [text for text in HOSTILE if accepts(text)]
    longest = "\u4e16" * (info.max_length or 20_000)
    texts = [longest] if info.max_length and accepts(longest) else []
    if not (examples or unusual or texts):
        texts_of_pattern: st.SearchStrategy[str] = st.from_regex(info.pattern or "", fullmatch=True)
        return known(NAMES_OF.get(name, encoded)) | texts_of_pattern
    choices = st.sampled_from([*examples, *unusual, *texts])
    if NAMES_OF.get(name, encoded) == "key":  # no other text is the key of an upload
        return known("key")
    refers = name in NAMES_OF or name.endswith(("_id", "key", "token", "code"))
    return known(NAMES_OF.get(name, encoded)) | choices if refers else choices


def _emails() -> st.SearchStrategy[Json]:
    fresh = st.integers(0, 10**9).map(lambda number: f"fuzz-{number}@example.com")
    return known("email") | fresh | st.sampled_from(("A@EXAMPLE.com", "\u00fc@b\u00fccher.example"))


def _passwords() -> st.SearchStrategy[Json]:
    return known("password") | st.sampled_from(
        (PASSWORD, "Other-horse-2", "Passwo\u0301rd-1", "Aa1!" + "\u4e16" * 200)
    )


_CUSTOM: Mapping[type, Callable[[], st.SearchStrategy[Json]]] = {
    Email: _emails,
    Password: _passwords,
    StrongPassword: _passwords,
}


_STRATEGIES: Mapping[type, Callable[[Any, str, str], st.SearchStrategy[Json]]] = {
    inspect.StrType: _texts,
    inspect.IntType: _integers,
    inspect.FloatType: lambda *_: st.floats(allow_nan=False, allow_infinity=False),
    inspect.BoolType: lambda *_: st.booleans(),
    inspect.NoneType: lambda *_: st.none(),
    inspect.LiteralType: lambda info, *_: st.sampled_from(info.values),
    inspect.Metadata: lambda info, *names: _of(info.type, *names),
    inspect.UnionType: _union,
    inspect.ListType: _list,
    inspect.VarTupleType: _list,
    inspect.SetType: _list,
    inspect.DictType: _dict,
    inspect.StructType: lambda info, *_: valid(info.cls),
    inspect.CustomType: lambda info, *_: _CUSTOM[info.cls](),
}


def resolve(value: Json, choose: Callable[[Known], str]) -> Json:
    """Returns the value with each `Known` replaced."""
    if isinstance(value, Known):
        return choose(value)
    if isinstance(value, list):
        return [resolve(item, choose) for item in value]
    if isinstance(value, dict):
        return {name: resolve(item, choose) for name, item in value.items()}
    return value
