"""Groups the tests into scopes. All tests of a scope run on the same worker.

The tests of a scope share an expensive fixture.
"""

from __future__ import annotations

E2E = "tests/e2e/"
OPERATIONS = "end-to-end tests of operations"
USAGE = "other end-to-end tests"
FIRST_SCOPES = (OPERATIONS, USAGE, "tests/stack/", "tests/ops/review/test_real_plans.py")
"""The longest scopes, in the order in which workers begin them.

Two workers wait for the platform and then share it (see tests/e2e/support/sharing.py). While they
wait, they run no other tests, because other tests would delay the start of the platform.
"""
_OPERATIONS = (
    f"{E2E}operations/",
    # These modules replace or read the project's site, which every deployment publishes. So they
    # must not run at the same time as deployments.
    f"{E2E}browser/",
    f"{E2E}edge/test_site.py",
    f"{E2E}edge/test_tls.py",
)


def find_scope(nodeid: str) -> str:
    """Returns the scope in FIRST_SCOPES that contains the test, or else the module of the test."""
    if nodeid.startswith(_OPERATIONS):
        return OPERATIONS
    if nodeid.startswith(E2E):
        return USAGE
    folder = next((scope for scope in FIRST_SCOPES if nodeid.startswith(scope)), None)
    return folder or nodeid.partition("::")[0]
