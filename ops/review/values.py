"""Determines how a value changes, for example whether it is turned off, weakened or upgraded."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from ops.terraform.plan_values import UNKNOWN, Sensitive

ON = frozenset({"true", "enabled", "enable", "on", "active", "1", "running", "started", "yes",
    "signing"})  # fmt: skip
OFF = frozenset({
    "false", "disabled", "disable", "off", "inactive", "0", "stopped", "paused", "suspended", "no",
    "stop", "none",
})  # fmt: skip
WITH_TLS = frozenset({
    "https", "tls", "ssl", "sftp", "ftps", "wss", "require", "verify-ca", "verify-full",
})  # fmt: skip
"""Protocols, and SSL modes of database connections, that require TLS or SSH."""
PRIVATE = frozenset({"private", "internal", "vpc", "vpc_endpoint", "vpconly"})
"""Types of endpoints that the internet cannot reach."""
_TLS = re.compile(r"(?:tls13|(?P<kind>tls|ssl|fs))[-_v]*(?P<version>\d(?:[._-]\d)?)", re.IGNORECASE)
_YEAR = re.compile(r"(20\d\d)[-_]?(\d\d)?")
_NUMBER = re.compile(r"\d+")


def is_hidden(value: Any) -> bool:
    """Returns True for a sensitive or unknown value, which can only be compared for equality."""
    return value is UNKNOWN or isinstance(value, Sensitive)


def is_on(value: Any) -> bool:
    """Returns True for true and for words such as `ENABLED`."""
    return value is True or (isinstance(value, str) and value.lower() in ON)


def is_off(value: Any) -> bool:
    """Returns True for false and for words such as `DISABLED`."""
    return value is False or (isinstance(value, str) and value.lower() in OFF)


def is_empty(value: Any) -> bool:
    """Returns True for values that are equivalent to an absent argument, such as an empty list."""
    return value is None or value in ("", [], {})


def _is_fewer(before: Any, after: Any) -> bool:
    old, new = (value if isinstance(value, list) else [value] for value in (before, after))
    return any(not is_empty(item) and item not in new for item in old)


def _is_weaker_tls(before: Any, after: Any) -> bool:
    versions = [
        [tls_version(item) for item in (value if isinstance(value, list) else [value])]
        for value in (before, after)
    ]
    if not all(versions) or is_empty(before) or is_empty(after):
        return not is_empty(before) and is_empty(after)
    # A list of TLS versions is as weak as its lowest version.
    return min(versions[1]) < min(versions[0])


def tls_version(policy: Any) -> tuple[int, int, int, int]:
    """Returns the lowest TLS version that a policy allows, and the year and month in its name.

    Parses names such as `TLSv1.2_2021`, `TLS_1_2`, `Policy-Min-TLS-1-0-2019-07` and
    `ELBSecurityPolicy-TLS13-1-2-2021-06`.
    """
    text = str(policy)
    year = _YEAR.search(text)
    dated = (int(year[1]), int(year[2] or 0)) if year else (0, 0)
    match = _TLS.search(text[: year.start()] if year else text)
    if match is None:
        # Load balancer policies whose names contain only a date accept TLS 1.0.
        return (1, 0, *dated)
    numbers = [int(number) for number in _NUMBER.findall(match["version"])]
    if (match["kind"] or "").lower() == "ssl":
        return (0, numbers[0], *dated)
    return (numbers[0], numbers[1] if len(numbers) > 1 else 0, *dated)


def _is_weaker_transport(before: Any, after: Any) -> bool:
    """Returns True if a protocol without TLS replaces or supplements a protocol with TLS."""
    old, new = (
        {str(item).lower() for item in (value if isinstance(value, list) else [value])}
        for value in (before, after)
    )
    return bool(old & WITH_TLS) and any(item not in old | WITH_TLS for item in new)


def _is_published(before: Any, after: Any) -> bool:
    old, new = (
        {str(item).lower() for item in (value if isinstance(value, list) else [value])}
        for value in (before, after)
    )
    return bool(old & PRIVATE) and not new & PRIVATE and not is_empty(after)


def _lacks_sign_in(before: Any, after: Any) -> bool:
    old, new = (str(value).startswith("authenticate-") for value in (before, after))
    return old and not new


def _allows_more_commands(before: Any, after: Any) -> bool:
    """Returns True if the new access string of Redis or Valkey allows more than the old one."""
    old, new = (set(str(value or "").split()) for value in (before, after))
    gained = any(item.startswith(("+", "~", "&", "%", "all")) for item in new - old)
    return gained or any(item.startswith("-") for item in old - new)


def _is_weaker_encryption(before: Any, after: Any) -> bool:
    return _encryption_rank(after) < _encryption_rank(before)


def _encryption_rank(value: Any) -> int:
    text = "" if is_empty(value) else str(value).lower()
    if "dsse" in text:
        return 3
    if "kms" in text or "customer" in text or "cmk" in text:
        return 2
    return 0 if text in {"", "none", "disabled", "plaintext", "off"} else 1


def _is_upgraded(before: Any, after: Any) -> bool:
    """Returns True if the major version of an engine changes, even to a lower one."""
    old, new = (
        [int(number) for number in _NUMBER.findall(str(value))] for value in (before, after)
    )
    if not old or not new:
        return False
    # The major versions of MySQL have two numbers (5.7, 8.0, 8.4). Those of other engines have one.
    length = 2 if old[0] in {5, 8} and new[0] in {5, 8} else 1
    return old[:length] != new[:length]


BECOMES: Mapping[str, Callable[[Any, Any], bool]] = {
    "changed": lambda before, after: before != after,
    "removed": lambda before, after: not is_empty(before) and is_empty(after),
    "appears": lambda before, after: before is None and after is not None,
    "turned_off": lambda before, after: (
        (is_off(after) and not is_off(before)) or (is_on(before) and not is_on(after))
    ),
    "turned_on": lambda before, after: is_on(after) and not is_on(before),
    "stopped": lambda before, after: (
        (is_on(before) and not is_on(after))
        or (is_empty(before) and isinstance(after, str) and is_off(after))
    ),
    "fewer": _is_fewer,
    "weaker_tls": _is_weaker_tls,
    "weaker_transport": _is_weaker_transport,
    "published": _is_published,
    "without_sign_in": _lacks_sign_in,
    "wider_commands": _allows_more_commands,
    "weaker_encryption": _is_weaker_encryption,
    "upgraded": _is_upgraded,
}
