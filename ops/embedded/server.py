"""Runs the embedded AWS with connections that stay open: a program of its own, started by path from `services`.

ministack closes a connection that was idle for 75 s, Terraform's provider (Go's HTTP client) keeps one for 90 s. A request that comes
as the server closes is carried out and gets no answer; the provider sends it again and is told that what it makes exists already.
"""

from __future__ import annotations

import ministack.app
from hypercorn.config import Config

KEEP_ALIVE = 3600.0
"""Seconds: longer than any client keeps an idle connection, so that it is always the client who closes."""


# ministack sets the first on each configuration that it makes: a property that takes no other value outlives that.
Config.keep_alive_timeout = property(lambda _: KEEP_ALIVE, lambda *_: None)  # type: ignore[assignment]
Config.keep_alive_max_requests = 2**63

if __name__ == "__main__":
    ministack.app.main()
