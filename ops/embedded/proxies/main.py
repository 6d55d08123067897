"""Runs one proxy.

Arguments: the service (`database` or `cache`), the proxy's port, the file with the ports of all
services, the certificate file, and the URL path at which the embedded AWS checks logins.
"""

from __future__ import annotations

import asyncio
import functools
import sys
from pathlib import Path

from . import cache, database
from .proxy import Proxy


def main() -> None:
    kind, port, ports, certificate, login_path = sys.argv[1:]
    proxy = Proxy(int(port), kind, Path(ports), Path(certificate), login_path)
    serve = functools.partial({"database": database, "cache": cache}[kind].serve, proxy)
    # Only the cache requires TLS from the first byte on. PostgreSQL clients connect without TLS and
    # then request it.
    tls = proxy.tls() if kind == "cache" else None
    asyncio.run(proxy.run(serve, tls=tls))
