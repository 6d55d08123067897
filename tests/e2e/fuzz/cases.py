"""Hypothesis strategies for requests to a route and for WebSocket frames."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from hypothesis import strategies as st
from msgspec import Struct

from lambdas.common.web.http import BODY_LIMIT
from tests.api_description import DescribedOperation, MessageDescription, Schema
from tests.e2e.fuzz.values import (
    HOSTILE,
    EarlierValue,
    Json,
    Values,
    earlier_values,
    hostile_texts,
    hostile_values,
)

CALLERS = (
    *["user"] * 4,
    *["other"] * 3,
    *["moderator"] * 2,
    *["anonymous"] * 3,
    "nobody",
    "forger",
)
"""The callers of requests. Each case chooses one at random. A caller that is listed more than once
is chosen more often.

`nobody` sends no token, and `forger` sends an invalid one.
"""

RAW_SEGMENTS = ("%", "%ff", "%zz", "%00", "...", "%2e%2e", "a%2Fb", "", "a;b=c", "~", "+")
"""Segments of a path that are sent without encoding."""

EMOJIS = ("\U0001f44d", "\u2764\ufe0f", "\u2764", "\U0001f1e9\U0001f1ea", "1\ufe0f\u20e3", "x")

CONDITIONS = ("*", '"1"', "1", '"1", "2"', 'W/"1"', "", '"', "x" * 5000, "\u00e9", "-1", "9" * 30)

KEYS = ("a", "b", "c", "x" * 255, "x" * 256, "", " ", "\t", "\u00e9", "a,b")
"""Values of Idempotency-Key. The first values are chosen more often, so that requests repeat
a key."""

HEADERS: tuple[tuple[str, str], ...] = (
    ("Content-Type", "text/plain"),
    ("Content-Type", "application/json; charset=latin-1"),
    ("Content-Type", "APPLICATION/JSON;charset=UTF-8"),
    ("Content-Type", ""),
    ("X-Correlation-Id", "$context.requestId"),
    ("X-Correlation-Id", "x" * 129),
    ("X-Correlation-Id", "given.by:caller-1"),
    ("Origin", "https://evil.example"),
    ("Origin", "null"),
    ("Accept", "text/html"),
    ("Content-Encoding", "gzip"),
    ("X-HTTP-Method-Override", "DELETE"),
    ("X-Forwarded-For", "127.0.0.1"),
    ("User-Agent", "\u00e9" * 300),
    ("Authorization", "Bearer second"),
)

RAW_BODIES: tuple[bytes, ...] = (
    *(b"{", b"[]", b'"text"', b"null", b"1", b"{}{}", b"\xff\xfe", b"\xef\xbb\xbf{}", b"\0"),
    *(b'{"a": NaN}', b'{"a": 1e400}', b'{"a": 1, "a": 2}', b"{'a': 1}", b'{"\\ud800": 1}'),
    *(b"<a/>", b"a=b", b'{"a":' * 5000 + b"1" + b"}" * 5000, b"[" * 100_000),
    b'{"a":' + b"[" * 900 + b"]" * 900 + b"}",
    b'{"a": "' + b"x" * BODY_LIMIT + b'"}',
)


class Case(Struct, frozen=True):
    """A request. An `EarlierValue` in it (see values.py) is replaced when the request is sent.

    A path parameter is an `EarlierValue`, or text that is already percent-encoded. A body is JSON,
    or bytes that are sent unchanged.
    """

    operation: DescribedOperation
    caller: str
    path: dict[str, EarlierValue | str]
    query: list[tuple[str, Json]]
    headers: list[tuple[str, str]]
    body: Json


@st.composite
def cases(draw: st.DrawFn, operation: DescribedOperation) -> Case:
    """Returns a strategy for requests to an operation. Most requests are valid."""
    return Case(
        operation=operation,
        caller=draw(st.sampled_from(CALLERS)),
        path={
            parameter["name"]: draw(_segments(parameter))
            for parameter in operation.parameters("path")
        },
        query=draw(_queries(operation)),
        headers=draw(_headers()),
        body=draw(_bodies(operation)),
    )


@st.composite
def frames(draw: st.DrawFn, action: str) -> Json:
    """Returns a strategy for frames of a WebSocket action: JSON, or text that is sent unchanged."""
    description = MessageDescription.load()
    values, schema = Values(description.document), description.actions[action]
    kind = draw(st.integers(0, 9))
    if kind == 9:
        return draw(_raw_frames)
    frame = draw(values.valid(schema) if kind < 6 else values.nearly_valid(schema))
    return frame if kind == 8 else {**frame, "action": action}


_raw_frames = st.one_of(
    st.sampled_from([text for raw in RAW_BODIES[:-2] if (text := raw.decode(errors="ignore"))]),
    st.sampled_from([json.dumps({"action": a}) for a in ("$connect", "$disconnect", "$default")]),
    st.sampled_from([json.dumps({"action": text}) for text in HOSTILE]),
    st.builds(lambda text: json.dumps({"action": text}), hostile_values),
    st.text(max_size=50),
)


@st.composite
def _segments(draw: st.DrawFn, parameter: Schema) -> EarlierValue | str:
    kind = draw(st.integers(0, 19))
    if kind < 16:
        if parameter["name"] == "emoji":
            return quote(draw(st.sampled_from(EMOJIS)))
        return draw(earlier_values(parameter["name"]))
    if kind < 18:
        return quote(draw(hostile_texts).encode(errors="surrogatepass"), safe="")
    return draw(st.sampled_from(RAW_SEGMENTS))


@st.composite
def _queries(draw: st.DrawFn, operation: DescribedOperation) -> list[tuple[str, Json]]:
    kind = draw(st.integers(0, 9))
    query: list[tuple[str, Json]] = []
    if operation.parameters("query") and kind < 9:
        values, schema = Values(operation.document), operation.query
        fields = draw(values.valid(schema) if kind < 6 else values.nearly_valid(schema))
        query = [(name, value) for name, value in fields.items() if value is not None]
    if kind >= 8:
        query += draw(st.lists(st.tuples(hostile_texts, hostile_values), max_size=2))
    if kind == 9 and query:
        query.append((query[0][0], "again"))
    return query


@st.composite
def _headers(draw: st.DrawFn) -> list[tuple[str, str]]:
    headers: list[tuple[str, str]] = []
    if draw(st.integers(0, 4)) == 4:
        headers.append(("If-Match", draw(st.sampled_from(CONDITIONS))))
    if draw(st.integers(0, 4)) == 4:
        index = min(draw(st.integers(0, 2 * len(KEYS))), draw(st.integers(0, len(KEYS) - 1)))
        headers.append(("Idempotency-Key", KEYS[index]))
    if draw(st.integers(0, 9)) == 9:
        headers += draw(st.lists(st.sampled_from(HEADERS), min_size=1, max_size=2))
    return headers


@st.composite
def _bodies(draw: st.DrawFn, operation: DescribedOperation) -> Any:
    kind = draw(st.integers(0, 15))
    if operation.body is None:
        return None if kind < 14 else {} if kind == 14 else draw(st.sampled_from(RAW_BODIES))
    if kind == 15:
        return draw(st.sampled_from(RAW_BODIES))
    if kind == 14:
        return draw(st.sampled_from((None, {}, [], {"unknownField": 1}, {"a": "x" * 100_000})))
    values = Values(operation.document)
    return draw(values.valid(operation.body) if kind < 9 else values.nearly_valid(operation.body))
