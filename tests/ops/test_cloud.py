"""Which role the commands work under."""

from __future__ import annotations

import pytest

from ops.cloud import connect
from ops.root import Root

SHARED, OWN = "arn:aws:iam::123456789012:role/shared", "arn:aws:iam::123456789012:role/own"


def test_a_role_is_taken_on_for_one_environment_or_for_all(
    aws: None, root: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert connect("dev", root).role is None
    monkeypatch.setenv("OPERATOR_ROLE_ARN", SHARED)
    monkeypatch.setenv("DEV_OPERATOR_ROLE_ARN", OWN)
    for name, role in (("dev", OWN), ("staging", SHARED)):
        cloud = connect(name, root)
        assert cloud.role == role
        assert role.rpartition("/")[2] in cloud.who()
