"""Resolves public DNS records over HTTPS, independently of the caches of this machine."""

from __future__ import annotations

from collections.abc import Callable

import urllib3

RESOLVER = "https://dns.google/resolve"
"""Google Public DNS over HTTPS, because a firewall may block DNS's port 53."""
TYPES = {"NS": 2, "CAA": 257}
"""Numbers of record types (IANA, "DNS parameters")."""
TIMEOUT = 5.0
"""Seconds to wait for a response of the resolver."""

Resolve = Callable[[str, str], list[str]]
"""Function that takes a name and a record type such as NS, and returns the records' data."""


def resolve(name: str, type_: str, resolver: str = RESOLVER) -> list[str]:
    """Returns the data of a name's DNS records of one type, or an empty list.

    Args:
        type_: One of TYPES.

    Raises:
        urllib3.exceptions.HTTPError: The resolver cannot be reached.
    """
    fields = {"name": name, "type": type_}
    response = urllib3.request("GET", resolver, fields=fields, timeout=TIMEOUT, retries=False)
    if response.status != 200:
        raise urllib3.exceptions.HTTPError(f"{resolver} returned {response.status}")
    records = response.json().get("Answer", [])
    return [record["data"] for record in records if record["type"] == TYPES[type_]]
