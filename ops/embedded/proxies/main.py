"""Runs one proxy.

Arguments: the kind (`database` or `cache`), the port, the file with all ports, the certificate's
file, and the URL path at which the embedded AWS decides on logins.
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
    # PostgreSQL's clients ask for TLS after they have connected.
    tls = proxy.tls() if kind == "cache" else None
    asyncio.run(proxy.run(serve, tls=tls))
