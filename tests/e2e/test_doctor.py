"""Tests the checks of `ops doctor` with the responses of the embedded AWS."""

from __future__ import annotations

import json

from ops.cloud import ROLE_VARIABLE
from tests.e2e.operators import DEPLOY, operator
from tests.e2e.support import Platform, run_ops


def test_the_deployed_local_environment_has_no_failure(platform: Platform) -> None:
    findings = json.loads(run_ops(platform.root, "doctor", "local", "--json"))
    print("\n".join(f"{item['status']} {item['subject']}: {item['detail']}" for item in findings))
    statuses = {item["subject"]: item["status"] for item in findings}
    assert "failure" not in statuses.values()
    checked = {
        *("tools", "credentials", "clock", "region", "state bucket", "bucket names"),
        *("API Gateway logging role", "GitHub OIDC provider", "hosted zone", "VPCs"),
    }
    assert {statuses[subject] for subject in checked} == {"ok"}


def test_the_deploy_policies_allow_every_check(platform: Platform) -> None:
    with operator(platform, "doctor", DEPLOY) as role:
        stdout = run_ops(
            platform.root, "doctor", "local", "--json", variables={ROLE_VARIABLE: role}
        )
    assert not [item for item in json.loads(stdout) if "not allowed" in item["detail"]]
