"""Runs smoke tests, which call every route (mostly reads).

The tests send requests over HTTP, or invoke the Lambda functions directly.

The files in requests/ define the requests.
"""

from ops.smoke.person import signed_in_users
from ops.smoke.run import Check, Smoke
from ops.smoke.suite import Suite, load_suites
from ops.smoke.transport import Http, InvocationTransport

__all__ = [
    "Check",
    "Http",
    "InvocationTransport",
    "Smoke",
    "Suite",
    "load_suites",
    "signed_in_users",
]
