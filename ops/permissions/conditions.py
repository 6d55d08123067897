"""Compares conditions of policy statements by the requests that meet them."""

from __future__ import annotations

import enum
import functools
import ipaddress
import itertools
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from ops.permissions import globs
from ops.permissions.principals import as_list

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_OPERATOR = re.compile(r"(?:(forallvalues|foranyvalue):)?([a-z]+?)(ifexists)?")
_NEGATED = {
    "stringnotequals": "stringequals",
    "stringnotequalsignorecase": "stringequalsignorecase",
    "stringnotlike": "stringlike",
    "numericnotequals": "numericequals",
    "datenotequals": "dateequals",
    "notipaddress": "ipaddress",
    "arnnotequals": "arnlike",
    "arnnotlike": "arnlike",
}
"""The operator that each negated operator negates, such as StringEquals for StringNotEquals."""
_DECIMAL = re.compile(r"[+-]?\d+(\.\d+)?")
_ALIASES = {"arnequals": "arnlike"}
"""AWS documents ArnEquals and ArnLike as identical."""


class Result(enum.IntEnum):
    """Whether a request without the condition's key meets the condition.

    UNCLEAR if AWS does not document it, or if the operator is unknown.
    """

    NOT_MET = 0
    UNCLEAR = 1
    MET = 2


@dataclass(frozen=True)
class Condition:
    """One operator and key of a statement's Condition element."""

    operator: str
    """The operator with its prefix in lower case, for example `foranyvalue:stringlike`."""
    key: str
    """The condition key in lower case, because IAM ignores its case."""
    values: frozenset[str]
    variables: bool = True
    """False for policies of version 2008-10-17, which have no policy variables."""

    @property
    def quantifier(self) -> str | None:
        """The operator's prefix in lower case: `forallvalues`, `foranyvalue`, or None."""
        return self._parts[0]

    @property
    def comparison(self) -> str:
        """The operator without quantifier, IfExists and negation, for example `stringlike`."""
        base = _NEGATED.get(self._parts[1], self._parts[1])
        return _ALIASES.get(base, base)

    @property
    def negated(self) -> bool:
        """True for operators such as StringNotEquals, which accept values that do not match."""
        return self._parts[1] in _NEGATED

    @property
    def without_key(self) -> Result:
        """The result for a request that does not contain the key."""
        quantifier, operator, if_exists = self._parts
        if operator == "null":
            return Result.MET if "true" in self.values else Result.NOT_MET
        if quantifier == "foranyvalue":
            # AWS does not document whether ForAnyValue with IfExists is met without the key.
            return Result.UNCLEAR if if_exists else Result.NOT_MET
        if quantifier or if_exists or self.negated:
            return Result.MET
        return Result.NOT_MET if self.comparison in _FAMILIES else Result.UNCLEAR

    @functools.cached_property
    def _parts(self) -> tuple[str | None, str, bool]:
        match = _OPERATOR.fullmatch(self.operator)
        return (match[1], match[2], bool(match[3])) if match else (None, self.operator, False)

    def patterns(self) -> list[str]:
        """Returns the values as parsed patterns. Only some operators have wildcards."""
        wild = self.comparison in {"stringlike", "arnlike"}
        return [
            globs.parse_pattern(value, wildcards=wild, variables=self.variables)
            for value in sorted(self.values)
        ]

    def __str__(self) -> str:
        return f"{self.key} {self.operator} {', '.join(sorted(self.values))}"


def conditions(value: Any, *, variables: bool = True) -> tuple[Condition, ...]:
    """Returns the conditions in a Condition element. Omits conditions that every request meets.

    Raises:
        ValueError: The value does not have the structure of a Condition element.
    """
    if value is None:
        return ()
    if not isinstance(value, Mapping) or not all(
        isinstance(keys, Mapping) for keys in value.values()
    ):
        raise ValueError("Condition must be an object of operators, each with an object of keys")
    parsed = [
        Condition(
            str(operator).lower(),
            str(key).lower(),
            _normalized(str(operator).lower(), as_list(values)),
            variables,
        )
        for operator, keys in value.items()
        for key, values in keys.items()
    ]
    return tuple(dict.fromkeys(item for item in parsed if not holds_always(item)))


def _normalized(operator: str, values: Iterable[Any]) -> frozenset[str]:
    texts = [str(item).lower() if isinstance(item, bool) else str(item) for item in values]
    is_boolean = "bool" in operator or operator == "null"
    return frozenset(text.lower() if is_boolean else text for text in texts)


def holds_always(condition: Condition) -> bool:
    """Returns True if every request meets the condition.

    Of the operators without a quantifier, only Null can be met by every request. A request with
    several values for the key meets no operator without a quantifier except Null.
    """
    if condition.operator == "null":
        return condition.values >= {"true", "false"}
    return condition.quantifier == "forallvalues" and _matches_everything(condition)


def _matches_everything(condition: Condition) -> bool:
    """Returns True if every possible value of the key meets the condition."""
    if condition.negated:
        return not condition.values
    if condition.comparison in {"stringlike", "arnlike"}:
        return globs.ANY in condition.patterns()
    if condition.comparison == "ipaddress":
        nets = networks(condition.values)
        return nets is not None and is_everything(nets)
    if condition.comparison == "bool":
        return condition.values >= {"true", "false"}
    return False


def all_imply(narrow: Iterable[Condition], wide: Iterable[Condition]) -> bool:
    """Returns True if every request that meets the narrow conditions meets the wide ones."""
    narrow = list(narrow)
    return all(any(implies(one, other) for one in narrow) for other in wide)


@functools.cache
def implies(narrow: Condition, wide: Condition) -> bool:
    """Returns True if every request that meets the narrow condition meets the wide one.

    False can also mean that the comparison was inconclusive.
    """
    if narrow == wide or narrow.key != wide.key:
        return narrow == wide
    if wide.comparison == "null":
        return _implies_presence(narrow, wide)
    if narrow.comparison == "null":
        return narrow.values == {"true"} and wide.without_key is Result.MET
    implication = _FAMILIES.get(narrow.comparison, _equal_values)
    return (
        wide.without_key >= narrow.without_key
        and narrow.quantifier == wide.quantifier
        and implication == _FAMILIES.get(wide.comparison, _equal_values)
        and implication(narrow, wide)
    )


def _implies_presence(narrow: Condition, wide: Condition) -> bool:
    if narrow.comparison == "null":
        return narrow.values <= wide.values
    return "false" in wide.values and narrow.without_key is Result.NOT_MET


def _equal_values(narrow: Condition, wide: Condition) -> bool:
    return (narrow.comparison, narrow.negated, narrow.values) == (
        wide.comparison,
        wide.negated,
        wide.values,
    )


def _strings_imply(narrow: Condition, wide: Condition) -> bool:
    folds = [item.comparison.endswith("ignorecase") for item in (narrow, wide)]
    narrow_patterns, wide_patterns = narrow.patterns(), wide.patterns()
    if any(folds):
        if narrow.negated == wide.negated:
            # A case-insensitive value matches several spellings, so case-sensitive values cannot
            # include it.
            larger, ignores_case = (
                (narrow_patterns, folds[0]) if wide.negated else (wide_patterns, folds[1])
            )
            if not ignores_case:
                return globs.ANY in larger
        narrow_patterns = [item.lower() for item in narrow_patterns]
        wide_patterns = [item.lower() for item in wide_patterns]
    return _patterns_imply(
        narrow_patterns, narrow.negated, wide_patterns, wide.negated, globs.covers
    )


def _arns_imply(narrow: Condition, wide: Condition) -> bool:
    return _patterns_imply(
        narrow.patterns(), narrow.negated, wide.patterns(), wide.negated, globs.arn_covers
    )


def _patterns_imply(
    narrow: list[str],
    narrow_negated: bool,
    wide: list[str],
    wide_negated: bool,
    covers: Callable[[str, str], bool],
) -> bool:
    if narrow_negated and wide_negated:
        return all(any(covers(one, other) for one in narrow) for other in wide)
    if narrow_negated:
        return globs.ANY in wide
    if wide_negated:
        return all(globs.are_disjoint(one, other) for one in narrow for other in wide)
    return all(any(covers(other, one) for other in wide) for one in narrow)


def _booleans_imply(narrow: Condition, wide: Condition) -> bool:
    return narrow.comparison == wide.comparison and narrow.values <= wide.values


def networks(values: Iterable[str]) -> list[Network] | None:
    """Returns the address ranges, merged if they overlap, or None if a value is not a range.

    A plain address counts as a range of one address. Like AWS, ignores host bits.
    """
    try:
        ranges = [ipaddress.ip_network(value.strip(), strict=False) for value in values]
    except ValueError:
        return None
    return [
        *ipaddress.collapse_addresses(item for item in ranges if item.version == 4),
        *ipaddress.collapse_addresses(item for item in ranges if item.version == 6),
    ]


def is_everything(ranges: Iterable[Network]) -> bool:
    """Returns True if the ranges contain every IPv4 and IPv6 address."""
    whole = {item.version for item in ranges if item.prefixlen == 0}
    return whole == {4, 6}


def contains(ranges: Iterable[Network], other: Network) -> bool:
    """Returns True if one of the ranges contains all addresses of the other range."""
    return any(
        item.version == other.version and other.subnet_of(item)  # type: ignore[arg-type]
        for item in ranges
    )


def _addresses_imply(narrow: Condition, wide: Condition) -> bool:
    narrow_ranges, wide_ranges = networks(narrow.values), networks(wide.values)
    if narrow_ranges is None or wide_ranges is None:
        return _equal_values(narrow, wide)
    if narrow.negated and wide.negated:
        return all(contains(narrow_ranges, item) for item in wide_ranges)
    if narrow.negated:
        return is_everything(networks([*map(str, narrow_ranges), *map(str, wide_ranges)]) or [])
    if wide.negated:
        return not any(
            one.version == other.version and one.overlaps(other)
            for one in narrow_ranges
            for other in wide_ranges
        )
    return all(contains(wide_ranges, item) for item in narrow_ranges)


Number = float | Decimal


@dataclass(frozen=True)
class _Interval:
    low: Number
    low_included: bool
    high: Number
    high_included: bool

    def contains(self, other: _Interval) -> bool:
        return (self.low, not self.low_included) <= (other.low, not other.low_included) and (
            other.high,
            other.high_included,
        ) <= (self.high, self.high_included)


def _numbers_imply(narrow: Condition, wide: Condition) -> bool:
    narrow_intervals = list(_intervals(narrow, _number))
    wide_intervals = list(_intervals(wide, _number))
    if not narrow_intervals or not wide_intervals:
        return _equal_values(narrow, wide)
    return _intervals_imply(narrow_intervals, wide_intervals)


def _dates_imply(narrow: Condition, wide: Condition) -> bool:
    narrow_intervals = list(_intervals(narrow, _seconds))
    wide_intervals = list(_intervals(wide, _seconds))
    if not narrow_intervals or not wide_intervals:
        return _equal_values(narrow, wide)
    return _intervals_imply(narrow_intervals, wide_intervals)


def _intervals_imply(narrow: list[_Interval], wide: list[_Interval]) -> bool:
    return all(any(other.contains(one) for other in wide) for one in narrow)


def _number(value: str) -> Decimal:
    # Python also accepts forms that AWS does not, such as `1_000`.
    if not _DECIMAL.fullmatch(value):
        raise ValueError(f"{value!r} is not a decimal number")
    return Decimal(value)


def _seconds(value: str) -> Number:
    if value.isdecimal():
        return _number(value)
    moment = datetime.fromisoformat(value)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _intervals(condition: Condition, number: Callable[[str], Number]) -> Iterator[_Interval]:
    """Yields the intervals whose numbers meet the condition.

    Yields nothing if a value of the condition is not a number.
    """
    try:
        values = sorted({number(value) for value in condition.values})
    except ValueError:
        return
    name = condition.comparison
    if condition.negated:
        edges: list[Number] = [-math.inf, *values, math.inf]
        for low, high in itertools.pairwise(edges):
            yield _Interval(low, False, high, False)
    elif name.endswith("equals") and not name.endswith("thanequals"):
        for value in values:
            yield _Interval(value, True, value, True)
    else:
        included = name.endswith("equals")
        for value in values:
            if "lessthan" in name:
                yield _Interval(-math.inf, False, value, included)
            elif "greaterthan" in name:
                yield _Interval(value, included, math.inf, False)


_ORDERS = ("equals", "lessthan", "lessthanequals", "greaterthan", "greaterthanequals")
_FAMILIES: Mapping[str, Callable[[Condition, Condition], bool]] = {
    **dict.fromkeys(("stringequals", "stringequalsignorecase", "stringlike"), _strings_imply),
    **dict.fromkeys((f"numeric{order}" for order in _ORDERS), _numbers_imply),
    **dict.fromkeys((f"date{order}" for order in _ORDERS), _dates_imply),
    "arnlike": _arns_imply,
    "ipaddress": _addresses_imply,
    "bool": _booleans_imply,
    "binaryequals": _equal_values,
}
"""Functions that compare two conditions of the same kind, by operator.

Negated operators use the function of the operator that they negate. Conditions with operators that
are not listed are only compared for equality.
"""
