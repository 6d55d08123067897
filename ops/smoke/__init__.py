"""Smoke tests: a read-mostly pass over every route, as declared in requests/*.yml, over HTTP or straight to a function's version."""

from ops.smoke.person import people
from ops.smoke.run import Check, Smoke
from ops.smoke.suite import Suite, load_suites
from ops.smoke.transport import Http, Invocation

__all__ = ["Check", "Http", "Invocation", "Smoke", "Suite", "load_suites", "people"]
