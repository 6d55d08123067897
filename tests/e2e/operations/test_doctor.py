"""Tests the checks of `ops doctor` with the responses of the embedded AWS."""

from __future__ import annotations

import json

from ops.cloud import ROLE_VARIABLE
from tests.e2e.support.commands import run_ops
from tests.e2e.support.operators import DEPLOY_POLICIES, create_operator
from tests.e2e.support.platform import Platform


def test_the_deployed_local_environment_passes_all_checks(platform: Platform) -> None:
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
    with create_operator(platform, "doctor", DEPLOY_POLICIES) as role:
        stdout = run_ops(
            platform.root, "doctor", "local", "--json", variables={ROLE_VARIABLE: role}
        )
    assert not [item for item in json.loads(stdout) if "not allowed" in item["detail"]]
