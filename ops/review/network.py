"""Finds the ports that a change opens to the internet."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ops.permissions.conditions import Network, contains, networks
from ops.permissions.exposure import is_internet
from ops.terraform.plan import Action, Change
from ops.terraform.plan_values import UNKNOWN

ALL_PORTS = (0, 65535)
RANGES = ("cidr_ipv4", "cidr_ipv6", "cidr_block", "ipv6_cidr_block", "cidr_blocks",
    "ipv6_cidr_blocks", "cidrs", "cidr")  # fmt: skip
"""Attributes of a rule that contain address ranges."""
OWNERS = ("security_group_id", "network_acl_id", "prefix_list_id")
PORTS = ("from_port", "to_port")
LISTS = re.compile(
    r"(?<!destination_)(cidr|ip_ranges?|source_ranges?|whitelist|allow_?list|rules\.source$)"
)
"""Matches names of attributes that list allowed address ranges without ports."""
OUTGOING = re.compile(r"egress|destination|route|subnet|vpc_cidr|pool|block_public|addresses")
"""Matches names of attributes whose ranges are destinations, or the network's own addresses."""
NUMBERS = {"1": "icmp", "6": "tcp", "17": "udp", "58": "icmpv6"}


@dataclass(frozen=True)
class Opening:
    """The address ranges and ports of a rule that allows or denies connections.

    `low` and `high` are the first and the last port.
    """

    protocol: str
    """The protocol in lower case. `-1` means all protocols."""
    low: int
    high: int
    ranges: tuple[Network, ...]

    def includes(self, protocol: str, port: int) -> bool:
        return self.protocol in {"-1", protocol} and self.low <= port <= self.high


def opened(change: Change) -> Iterator[str]:
    """Yields a description of each port range that the change opens to more internet addresses."""
    is_new = change.action is Action.CREATE or _is_moved(change)
    old = {} if is_new else change.before
    before, after = (list(_openings(change.type, values)) for values in (old, change.after))
    for opening in after:
        if _is_new(opening, before, after):
            yield _described(opening)
    denied, still_denied = (
        list(_acl_openings(change.type, values, "deny")) for values in (old, change.after)
    )
    for opening in denied:
        if _is_new(opening, still_denied, denied):
            yield f"{_described(opening)} if another rule allows it, because a deny rule is removed"


def _is_moved(change: Change) -> bool:
    """Returns True if the rule moves to another security group, network ACL or prefix list.

    Returns False if the apply creates that group, ACL or list.
    """
    return any(
        change.after.get(name) not in (None, UNKNOWN, change.before.get(name)) for name in OWNERS
    )


def opened_to_unknown(change: Change) -> Iterator[str]:
    """Yields attributes of rules whose addresses or ports are known only after the apply."""
    if "egress" in change.type or change.after.get("type") == "egress":
        return
    for item in change.unknown_differences:
        outer, _, name = item.attribute.rpartition(".")
        if name in (*RANGES, *PORTS) and outer in {"", "ingress"}:
            yield item.path


def _is_new(opening: Opening, before: Iterable[Opening], after: Iterable[Opening]) -> bool:
    """Returns True if the internet can reach a port of the opening only after the change."""
    before, after = list(before), list(after)
    edges = {opening.low, opening.high}
    for item in (*before, *after):
        edges |= {item.low, item.high, item.low - 1, item.high + 1}
    protocols = {item.protocol for item in (*before, *after)} - {"-1"} | {"other"}
    if opening.protocol != "-1":
        protocols = {opening.protocol}
    for port in edges:
        if not opening.low <= port <= opening.high:
            continue
        for protocol in protocols:
            reached = [_ranges(items, protocol, port) for items in (before, after)]
            if is_internet(_without(reached[1], reached[0])):
                return True
    return False


def _ranges(openings: Iterable[Opening], protocol: str, port: int) -> list[Network]:
    found = [
        str(network)
        for item in openings
        if item.includes(protocol, port)
        for network in item.ranges
    ]
    return networks(found) or []


def _without(ranges: Iterable[Network], others: Iterable[Network]) -> list[Network]:
    """Returns `ranges` without the addresses in `others`."""
    left = list(ranges)
    for other in others:
        remaining: list[Network] = []
        for item in left:
            if item.version != other.version or not item.overlaps(other):
                remaining.append(item)
            elif not contains([other], item):
                remaining += item.address_exclude(other)  # type: ignore[arg-type]
        left = remaining
    return left


def _described(opening: Opening) -> str:
    protocol = "every protocol" if opening.protocol == "-1" else opening.protocol
    ports = (
        "all ports"
        if (opening.low, opening.high) == ALL_PORTS
        else f"port {opening.low}"
        if opening.low == opening.high
        else f"ports {opening.low} to {opening.high}"
    )
    shown = ", ".join(str(item) for item in opening.ranges)
    return f"{shown} can connect ({protocol}, {ports})"


def _openings(type_: str, values: Mapping[str, Any]) -> Iterator[Opening]:
    if "network_acl" in type_:
        yield from _acl_openings(type_, values, "allow")
    elif "security_group" in type_:
        yield from _group_openings(type_, values)
    elif "route" not in type_ and type_ not in {"aws_subnet", "aws_vpc"}:
        ranges = list(_listed_ranges(values, ""))
        if ranges:
            yield Opening("-1", *ALL_PORTS, tuple(ranges))


def _group_openings(type_: str, values: Mapping[str, Any]) -> Iterator[Opening]:
    if "egress" in type_ or values.get("type") == "egress":
        return
    for rule in (values, *_blocks(values, "ingress")):
        yield from _opening(rule)


def _acl_openings(type_: str, values: Mapping[str, Any], action: str) -> Iterator[Opening]:
    """Yields an opening for each inbound rule in a network ACL that has the action `action`."""
    if "network_acl" not in type_:
        return
    rules = [values] if type_.endswith("_rule") else _blocks(values, "ingress")
    for rule in rules:
        chosen = str(rule.get("rule_action") or rule.get("action")).lower() == action
        if chosen and rule.get("egress") is not True:
            yield from _opening(rule)


def _blocks(values: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = values.get(name)
    return [item for item in found if isinstance(item, Mapping)] if isinstance(found, list) else []


def _opening(rule: Mapping[str, Any]) -> Iterator[Opening]:
    ranges = [item for name in RANGES for item in _parsed(rule.get(name))]
    if not ranges:
        return
    protocol = str(rule.get("ip_protocol") or rule.get("protocol") or "-1").lower()
    protocol = "-1" if protocol == "all" else NUMBERS.get(protocol, protocol)
    ports = [rule.get("from_port"), rule.get("to_port")]
    low, high = (
        port if isinstance(port, int) and port >= 0 else bound
        for port, bound in zip(ports, ALL_PORTS, strict=True)
    )
    if protocol not in {"tcp", "udp"} or (low, high) == (0, 0):
        low, high = ALL_PORTS
    yield Opening(protocol, low, high, tuple(ranges))


def _parsed(value: Any) -> list[Network]:
    ranges = []
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, str):
            try:
                ranges.append(ipaddress.ip_network(item.strip(), strict=False))
            except ValueError:
                continue
    return ranges


def _listed_ranges(value: Any, name: str) -> Iterator[Network]:
    """Yields the ranges in attributes whose names match LISTS and do not match OUTGOING."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not OUTGOING.search(key):
                yield from _listed_ranges(item, f"{name}.{key}")
    elif isinstance(value, list):
        for item in value:
            yield from _listed_ranges(item, name)
    elif LISTS.search(name) and isinstance(value, str):
        yield from _parsed(value)
