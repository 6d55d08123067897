"""Generates similar policies, and requests near the differences between them."""

from __future__ import annotations

import copy
import ipaddress
import random
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from hypothesis import strategies as st

Block = dict[str, Any]
Draw = Callable[[st.SearchStrategy[Any]], Any]

CHAIN = 6
"""Number of policies in a chain."""
ONE, OTHER = "111122223333", "444455556666"
ACTIONS = (
    *("s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket", "dynamodb:GetItem"),
    *("dynamodb:PutItem", "dynamodb:Scan", "sns:Publish", "sqs:SendMessage", "sts:AssumeRole"),
    *("lambda:InvokeFunction", "iam:PassRole", "future:Do", "future:DoThis", "future:Undo"),
)
ACTION_PATTERNS = (
    *ACTIONS,
    *("*", "s3:*", "S3:Get*", "s3:?etObject", "s3:*Object", "s3:*e*Object", "S3:GETOBJECT"),
    *(
        "dynamodb:*Item",
        "dynamodb:?????tem",
        "sns:*",
        "iam:Pass*",
        "Sts:assume*",
        "sqs:Send?essage",
    ),
    *("future:*", "future:Do*", "future:D?", "future:*o", "lambda:Invoke*"),
)
ROLE = f"arn:aws:iam::{ONE}:role/reader"
CALLERS = (
    *(ROLE, f"arn:aws:iam::{ONE}:role/team/writer", f"arn:aws:iam::{ONE}:user/reader"),
    *(f"arn:aws:iam::{OTHER}:role/reader", f"arn:aws:sts::{ONE}:assumed-role/reader/session"),
)
OTHER_CALLERS = (
    *("events.amazonaws.com", "sns.amazonaws.com", "accounts.google.com"),
    *(f"arn:aws:iam::{ONE}:oidc-provider/example.com", "79a59df900b949e55d96a1e698fbacedfd6e09d9"),
)
ANONYMOUS = None
PRINCIPALS: tuple[Any, ...] = (
    "*",
    {"AWS": "*"},
    {"AWS": ONE},
    {"AWS": f"arn:aws:iam::{ONE}:root"},
    {"AWS": [OTHER, ROLE]},
    {"AWS": [ONE, OTHER]},
    *({"AWS": name} for name in CALLERS),
    {"AWS": [ROLE, CALLERS[2]]},
    {"Service": "events.amazonaws.com"},
    {"Service": ["Events.amazonaws.com", "sns.amazonaws.com"]},
    {"Federated": "accounts.google.com"},
    {"Federated": OTHER_CALLERS[3]},
    {"CanonicalUser": OTHER_CALLERS[4]},
    {"AWS": ROLE, "Service": "sns.amazonaws.com"},
)
TOKENS = ("a", "b", "A", "ab", "/", "*", "?")
VARIABLES = ("${aws:username}", "${aws:PrincipalTag/team}", "${aws:PrincipalTag/team, 'a'}")
ESCAPES = ("${*}", "${?}", "${$}")
RESOURCES = (
    *("*", "arn:aws:s3:::files", "arn:aws:s3:::files/*", "arn:aws:s3:::file?/*", "arn:aws:s3"),
    *("arn:aws:sns:us-*", "arn:aws:*", "arn:aws:sns", "arn:*:s3:::files/a", "arn:*:s3"),
)
STRING_KEYS = ("aws:PrincipalTag/team", "aws:username", "s3:prefix")
LIST_KEYS = ("aws:TagKeys", "aws:PrincipalOrgPaths")
EQUAL = ("StringEquals", "StringNotEquals", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase")
UNCOMMON = ("BinaryEquals", "StringContains", "FutureOperator")
"""Rare condition operators.

The last two do not exist, so conditions with these two are never met in the simulator.
"""
LIKE = ("StringLike", "StringNotLike")
ARN = ("ArnEquals", "ArnNotEquals", "ArnLike", "ArnNotLike")
COMPARING = (
    "Equals",
    "NotEquals",
    "LessThan",
    "LessThanEquals",
    "GreaterThan",
    "GreaterThanEquals",
)
USUALLY_MET: tuple[tuple[str, str, Any], ...] = (
    ("StringLikeIfExists", "aws:TagKeys", "*"),
    ("StringLikeIfExists", "aws:username", "*"),
    ("StringLike", "aws:username", "*"),
    ("ForAllValues:StringLike", "aws:TagKeys", ["*"]),
    ("ForAllValues:StringLikeIfExists", "aws:TagKeys", ["*", "a"]),
    ("ForAnyValue:StringLikeIfExists", "aws:TagKeys", "*"),
    ("ForAnyValue:StringNotLike", "aws:TagKeys", "a"),
    ("ForAllValues:StringNotEquals", "aws:TagKeys", []),
    ("StringNotEquals", "aws:TagKeys", []),
    ("StringNotLike", "s3:prefix", "zzz"),
    ("BoolIfExists", "aws:SecureTransport", ["true", "false"]),
    ("Bool", "aws:SecureTransport", [True, "false"]),
    ("IpAddressIfExists", "aws:SourceIp", ["0.0.0.0/0", "::/0"]),
    ("NumericGreaterThanIfExists", "s3:max-keys", "-100"),
    ("Null", "aws:TagKeys", ["true", "false"]),
    ("Null", "aws:TagKeys", "false"),
    ("Null", "aws:username", "true"),
)
"""Conditions that most requests meet. The few requests that do not are easy to overlook."""
NETWORKS = (
    *("0.0.0.0/0", "::/0", "10.0.0.0/8", "10.0.0.0/9", "10.128.0.0/9", "10.1.2.3", "10.1.2.3/16"),
    *("2001:db8::/32", "2001:DB8:0::/33", "2001:db8:8000::/33", "2001:db8::1", "128.0.0.0/1"),
)
DATES = ("2029-01-01T00:00:00Z", "2029-06-01T12:00:00Z", "2030-01-01T00:00:00Z", "1893456000")
NUMBERS: tuple[Any, ...] = ("1", "2", "5", 5, "5.0", "5.5", "10", "-1")
FILLERS = ("", "a", "b", "A", "ab", "/", "x/y")


# Policies


def _subset(draw: Draw, items: Iterable[Any], most: int = 3) -> Any:
    values = draw(st.lists(st.sampled_from(tuple(items)), min_size=1, max_size=most))
    return values[0] if len(values) == 1 and draw(st.booleans()) else values


def _text(draw: Draw, tokens: Iterable[str], most: int = 4) -> str:
    return "".join(draw(st.lists(st.sampled_from(tuple(tokens)), min_size=1, max_size=most)))


def _resource(draw: Draw) -> str:
    kind = draw(st.sampled_from(("listed", "object", "object", "object", "table", "topic")))
    if kind == "listed":
        return str(draw(st.sampled_from(RESOURCES)))
    name = _text(draw, (*TOKENS, *VARIABLES, *ESCAPES))
    region = draw(st.sampled_from(("us-east-1", "us-*", "us-?ast-1", "*")))
    account = draw(st.sampled_from((ONE, "*", "11112222333?", "")))
    if kind == "object":
        return f"arn:aws:s3:::files/{name}"
    if kind == "table":
        return f"arn:aws:dynamodb:{region}:{account}:table/{name}"
    return f"arn:aws:sns:{region}:{account}:{name.replace('/', '-')}"


def _condition(draw: Draw) -> tuple[str, str, Any]:
    """Returns a random condition: an operator, a key and its values."""
    if draw(st.integers(0, 3)) == 0:
        condition: tuple[str, str, Any] = draw(st.sampled_from(USUALLY_MET))
        return condition
    kind = draw(
        st.sampled_from(
            ("equal", "like", "like", "arn", "number", "date", "ip", "bool", "null", "other")
        )
    )
    prefix = draw(st.sampled_from(("", "", "", "ForAllValues:", "ForAnyValue:", "forallvalues:")))
    ending = draw(st.sampled_from(("", "", "IfExists")))
    key, operator, values = _typed(draw, kind)
    if kind == "null":
        prefix = ending = ""
    key = key.upper() if draw(st.integers(0, 9)) == 0 else key
    return f"{prefix}{operator}{ending}", key, values


def _typed(draw: Draw, kind: str) -> tuple[str, str, Any]:
    """Returns the parts of a random condition of a kind. `kind` is a key of _TYPED."""
    return _TYPED[kind](draw)


def _strings(draw: Draw, operators: Iterable[str], tokens: Iterable[str]) -> tuple[str, str, Any]:
    key = draw(st.sampled_from((*STRING_KEYS, *LIST_KEYS)))
    values: Any = [_text(draw, tokens, 3) for _ in range(draw(st.integers(1, 3)))]
    if draw(st.integers(0, 3)) == 0:
        values = draw(st.sampled_from(("*", "a", ["a", "b"], ["a*"], [])))
    return key, draw(st.sampled_from(tuple(operators))), values


def _arns(draw: Draw) -> tuple[str, str, Any]:
    values = [_full_arn(draw) for _ in range(draw(st.integers(1, 2)))]
    return "aws:SourceArn", draw(st.sampled_from(ARN)), values


def _numbers(draw: Draw) -> tuple[str, str, Any]:
    name = f"Numeric{draw(st.sampled_from(COMPARING))}"
    return "s3:max-keys", name, _subset(draw, NUMBERS, 2)


def _dates(draw: Draw) -> tuple[str, str, Any]:
    return "aws:CurrentTime", f"Date{draw(st.sampled_from(COMPARING))}", _subset(draw, DATES, 2)


def _addresses(draw: Draw) -> tuple[str, str, Any]:
    name = draw(st.sampled_from(("IpAddress", "NotIpAddress")))
    return "aws:SourceIp", name, _subset(draw, NETWORKS)


def _booleans(draw: Draw) -> tuple[str, str, Any]:
    return "aws:SecureTransport", "Bool", _subset(draw, ("true", "false", True, False, "True"), 2)


def _presence(draw: Draw) -> tuple[str, str, Any]:
    key = draw(st.sampled_from((*STRING_KEYS, *LIST_KEYS, "aws:SourceIp", "s3:max-keys")))
    return key, "Null", _subset(draw, ("true", "false", True, False), 2)


_TYPED: Mapping[str, Callable[[Draw], tuple[str, str, Any]]] = {
    "equal": lambda draw: _strings(draw, EQUAL, (*TOKENS, *VARIABLES)),
    "like": lambda draw: _strings(draw, LIKE, (*TOKENS, *VARIABLES, *ESCAPES)),
    "arn": _arns,
    "number": _numbers,
    "date": _dates,
    "ip": _addresses,
    "bool": _booleans,
    "null": _presence,
    "other": lambda draw: _strings(draw, UNCOMMON, ("a", "b", "YQ==")),
}


def _full_arn(draw: Draw) -> str:
    arn = _resource(draw)
    return arn if arn.count(":") >= 5 else "arn:aws:s3:::files/*"


def _conditions(draw: Draw) -> Block:
    condition: Block = {}
    for _ in range(draw(st.integers(0, 2))):
        operator, key, values = _condition(draw)
        condition.setdefault(operator, {})[key] = values
    return condition


def _part(draw: Draw, name: str) -> tuple[str, Any]:
    """Returns an element of a statement: its name, with or without `Not`, and its value."""
    negated = draw(st.integers(0, 4)) == 0
    if name == "Action":
        value = _subset(draw, ACTION_PATTERNS)
    elif name == "Resource":
        value = [_resource(draw) for _ in range(draw(st.integers(1, 2)))]
    else:
        value = draw(st.sampled_from(PRINCIPALS))
        negated = negated and value not in ("*", {"AWS": "*"})
    return f"Not{name}" if negated else name, value


def _statement(draw: Draw, parts: Iterable[str]) -> Block:
    statement: Block = {"Effect": draw(st.sampled_from(("Allow", "Allow", "Allow", "Deny")))}
    statement.update(_part(draw, name) for name in parts)
    condition = _conditions(draw)
    return {**statement, "Condition": condition} if condition else statement


def _changed(draw: Draw, statement: Block, parts: Iterable[str]) -> Block:
    """Returns the statement with one element, or one value of an element, changed."""
    result = copy.deepcopy(statement)
    what = draw(st.sampled_from((*parts, "Condition", "Condition", "Condition", "Effect")))
    if what == "Effect":
        result["Effect"] = "Deny" if result["Effect"] == "Allow" else "Allow"
    elif what == "Condition":
        _change_condition(draw, result)
    else:
        old = result.pop(what, None) or result.pop(f"Not{what}", None)
        name, value = _part(draw, what)
        if what != "Principal" and draw(st.booleans()):
            # The new value extends or shortens the old list.
            listed = old if isinstance(old, list) else [old]
            more = value if isinstance(value, list) else [value]
            value = [*listed, *more] if draw(st.booleans()) else listed[:1]
        result[name] = value
    return result


def _change_condition(draw: Draw, statement: Block) -> None:
    condition = statement.setdefault("Condition", {})
    pairs = [(operator, key) for operator, keys in condition.items() for key in keys]
    how = draw(st.sampled_from(("add", "drop", "operator", "values", "values")))
    if how == "add" or not pairs:
        operator, key, values = _condition(draw)
        condition.setdefault(operator, {})[key] = values
    else:
        operator, key = draw(st.sampled_from(pairs))
        values = condition[operator].pop(key)
        if how == "operator":
            renamed = _renamed(draw, operator)
            condition.setdefault(renamed, {})[key] = values
        elif how == "values":
            listed = values if isinstance(values, list) else [values]
            kind = _kind(operator)
            new = _typed(draw, kind)[2]
            more = new if isinstance(new, list) else [new]
            condition[operator][key] = draw(
                st.sampled_from(([*listed, *more], listed[:1], listed[1:] or more, more))
            )
    statement["Condition"] = {name: keys for name, keys in condition.items() if keys}
    if not statement["Condition"]:
        del statement["Condition"]


def _kind(operator: str) -> str:
    name = operator.lower()
    for text, kind in (
        ("like", "like"), ("arn", "arn"), ("numeric", "number"), ("date", "date"), ("ip", "ip"),
        ("bool", "bool"), ("null", "null"), ("stringequals", "equal"), ("stringnot", "equal"),
    ):  # fmt: skip
        if text in name and not (kind == "like" and "arn" in name):
            return kind
    return "other"


def _renamed(draw: Draw, operator: str) -> str:
    """Returns a similar operator: negated, with another quantifier, or with or without IfExists."""
    prefix, _, name = operator.rpartition(":")
    base = name.removesuffix("IfExists")
    siblings = next(
        (
            group
            for group in (
                (*EQUAL, *UNCOMMON), LIKE, ARN, ("IpAddress", "NotIpAddress"),
                [f"Numeric{item}" for item in COMPARING], [f"Date{item}" for item in COMPARING],
            )
            if base in group
        ),
        (base,),
    )  # fmt: skip
    if base == "Null":
        return operator
    choice = draw(st.sampled_from(("base", "prefix", "ending")))
    if choice == "base":
        base = draw(st.sampled_from(tuple(siblings)))
    elif choice == "prefix":
        prefix = draw(st.sampled_from(("", "ForAllValues", "ForAnyValue")))
    ending = "IfExists" if (choice == "ending") != name.endswith("IfExists") else ""
    return f"{prefix}:{base}{ending}" if prefix else f"{base}{ending}"


@st.composite
def chains(draw: Draw) -> tuple[list[Block], bool]:
    """Generates a chain of similar policies, and whether they are resource policies.

    Consecutive policies differ in one statement, so all pairs differ in few elements.
    """
    is_resource_policy = draw(st.booleans())
    parts = ("Action", "Resource", *(("Principal",) if is_resource_policy else ()))
    number = draw(st.sampled_from((1, 1, 2, 3)))
    statements = [_statement(draw, parts) for _ in range(number)]
    policies = [_document(draw, statements)]
    for _ in range(CHAIN - 1):
        statements = copy.deepcopy(statements)
        index = draw(st.integers(0, len(statements) - 1))
        how = draw(st.sampled_from(("change", "change", "change", "change", "add", "remove")))
        if how == "add":
            statements.insert(index, _statement(draw, parts))
        elif how == "remove" and len(statements) > 1:
            del statements[index]
        else:
            statements[index] = _changed(draw, statements[index], parts)
        policies.append(_document(draw, statements))
    return policies, is_resource_policy


def _document(draw: Draw, statements: list[Block]) -> Block:
    if draw(st.integers(0, 9)):
        return {"Version": "2012-10-17", "Statement": statements}
    # The older version has no policy variables.
    return {"Version": "2008-10-17", "Statement": _without_variables(statements)}


def _without_variables(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("${", "$(")
    if isinstance(value, list):
        return [_without_variables(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _without_variables(item) for key, item in value.items()}
    return value


# Requests


class Requests:
    """Generates requests that match, or nearly match, statements of these policies."""

    def __init__(self, policies: Iterable[Block], is_resource_policy: bool, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - not for secrets
        documents = [policy["Statement"] for policy in policies]
        self._statements = [item for document in documents for item in document]
        self._changed = [
            item for item in self._statements if not all(item in document for document in documents)
        ] or self._statements
        self._is_resource_policy = is_resource_policy
        self._values: dict[str, list[str]] = {}
        self._variables: set[str] = set()
        for item in self._statements:
            for text in _texts(item):
                self._variables |= {
                    name.partition(",")[0] for name in re.findall(r"\$\{([\w:/]+[^}]*)\}", text)
                }
            for keys in item.get("Condition", {}).values():
                for key, values in keys.items():
                    listed = values if isinstance(values, list) else [values]
                    self._values.setdefault(key.lower(), []).extend(map(str, listed))

    def generate(self, number: int) -> list[Block]:
        """Returns `number` random IAM requests with which to evaluate the policies."""
        return [self._request(self._random.choice(self._changed)) for _ in range(number)]

    def _request(self, statement: Block) -> Block:
        self._context = self._make_context(statement)
        return {
            "action": self._action(statement),
            "resource": self._resource(statement),
            "principal": self._principal(statement),
            "context": self._context,
        }

    def _action(self, statement: Block) -> str:
        patterns = _listed(statement.get("Action", statement.get("NotAction")))
        pattern = self._random.choice(patterns).lower()
        expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
        matching = [name for name in ACTIONS if re.fullmatch(expression, name.lower())]
        negated = "NotAction" in statement
        chosen = [name for name in ACTIONS if (name in matching) != negated] or list(ACTIONS)
        return self._random.choice(chosen if self._random.random() < 0.9 else ACTIONS)

    def _resource(self, statement: Block) -> str:
        if "NotResource" in statement or self._random.random() < 0.15:
            statement = self._random.choice(self._statements)
        patterns = _listed(statement.get("Resource", statement.get("NotResource")))
        pattern = self._random.choice(patterns)
        if pattern == "*" or self._random.random() < 0.05:
            pattern = self._random.choice(("arn:aws:s3:::files/a", "arn:aws:sns:eu-west-1:1:b"))
        pattern = ":".join([*pattern.split(":"), *["*"] * (5 - pattern.count(":"))])
        # The simulator interprets `*` in a request as a pattern, so requests contain no `*`.
        return self._filled(pattern).replace("*", "x")

    def _principal(self, statement: Block) -> str | None:
        if not self._is_resource_policy:
            return ROLE
        value = statement.get("Principal")
        if value is None or value == "*" or self._random.random() < 0.2:
            return self._random.choice((*CALLERS, *OTHER_CALLERS, ANONYMOUS))
        names = [name for item in value.values() for name in _listed(item)]
        name: str = self._random.choice(names)
        if name == "*":
            return self._random.choice((*CALLERS, ANONYMOUS))
        account = re.fullmatch(r"(?:arn:aws:iam::)?(\d{12})(?::root)?", name)
        if account:
            return self._random.choice([item for item in CALLERS if account[1] in item])
        return name.lower() if name.endswith("amazonaws.com") else name

    def _make_context(self, statement: Block) -> dict[str, Any]:
        """Returns values for all condition keys, most of them from the statement's conditions."""
        context: dict[str, Any] = {}
        preferred = {
            key.lower(): list(map(str, _listed(values)))
            for keys in statement.get("Condition", {}).values()
            for key, values in keys.items()
        }
        self._preferred = preferred if self._random.random() < 0.7 else {}
        keys = {*self._values, *map(str.lower, self._variables)}
        self._context = context
        for key in sorted(keys, key=lambda name: name not in map(str.lower, self._variables)):
            if key in map(str.lower, self._variables):
                context[key] = self._random.choice(("a", "b", "ab", "A"))
            elif self._random.random() < 0.85:
                context[key] = self._value(key)
        return context

    def _value(self, key: str) -> Any:
        if key in map(str.lower, LIST_KEYS) and self._random.random() < 0.8:
            return [self._single(key) for _ in range(self._random.randint(0, 3))]
        if self._random.random() < 0.1:
            return [self._single(key)]
        return self._single(key)

    def _single(self, key: str) -> str:
        candidates = self._preferred.get(key) or self._values.get(key, ["a"])
        value = self._random.choice(candidates or ["a"])
        if key == "aws:securetransport":
            return self._random.choice(("true", "false"))
        if key == "s3:max-keys":
            numbers = [float(item) for item in candidates if re.fullmatch(r"-?[\d.]+", item)] or [
                1.0
            ]
            return f"{self._random.choice(numbers) + self._random.choice((-1, -0.5, 0, 0.5, 1)):g}"
        if key == "aws:currenttime":
            return self._moment()
        if key == "aws:sourceip":
            return self._address()
        if key == "aws:sourcearn" and value.count(":") < 5:
            value = "arn:aws:s3:::files/a"
        text = self._filled(value)
        return text.swapcase() if key != "aws:sourcearn" and self._random.random() < 0.2 else text

    def _moment(self) -> str:
        moment = datetime.fromisoformat(self._random.choice(DATES[:3]))
        return (moment + timedelta(seconds=self._random.choice((-1, 0, 1)))).isoformat()

    def _address(self) -> str:
        network = ipaddress.ip_network(self._random.choice(NETWORKS), strict=False)
        edge = self._random.choice((network.network_address, network.broadcast_address))
        number = int(edge) + self._random.choice((-1, 0, 1))
        number = min(max(number, 0), 2**network.max_prefixlen - 1)
        return str(type(edge)(number))

    def _filled(self, pattern: str) -> str:
        """Returns a random text that matches a pattern.

        Replaces each policy variable with its value in the request's context.
        """

        def value(match: re.Match[str]) -> str:
            name, _, default = match[1].partition(",")
            if name in {"*", "?", "$"}:
                return name
            variable = self._context.get(name.lower())
            return variable if isinstance(variable, str) else default.strip(" '") or "a"

        text = re.sub(r"\$\{([^}]*)\}", value, re.sub(r"(?<!\{)\*", "\0", pattern))
        text = re.sub("\0", lambda _: self._random.choice(FILLERS), text)
        return re.sub(r"\?", lambda _: self._random.choice("abA/?"), text)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
