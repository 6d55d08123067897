"""Parses Terraform's addresses of resources. Instance keys may contain dots and brackets.

A deferred change has `[*]` instead of an instance key that is not known yet.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

_PART = re.compile(r'(?P<name>[^.\["]+)(?P<key>\["(?:[^"\\]|\\.)*"\]|\[(?:\d+|\*)\])?(?:\.|$)')


@dataclass(frozen=True)
class Address:
    """The parts of a resource's address."""

    module: str
    """The module's address, for example `module.shop["eu"]`. Empty for the root module."""
    type: str
    name: str
    key: str
    """The instance key in brackets, for example `[0]` or `["a.b"]`. Empty without a key."""

    @property
    def configured(self) -> str:
        """The address in the configuration, without instance keys."""
        modules = [part for part, _ in _parts(self.module)] if self.module else []
        return ".".join([*modules, self.type, self.name])


@functools.cache
def parse_address(address: str) -> Address:
    """Returns the parts of an address. For an invalid address, `name` is the whole address."""
    parts = _parts(address)
    if len(parts) < 2 or ".".join(f"{name}{key}" for name, key in parts) != address:
        return Address("", "", address, "")
    *before, (type_, _), (name, key) = parts
    if before and before[-1][0] == "data":
        before = before[:-1]
    return Address(".".join(f"{part}{item}" for part, item in before), type_, name, key)


def _parts(address: str) -> list[tuple[str, str]]:
    return [(match["name"], match["key"] or "") for match in _PART.finditer(address)]
