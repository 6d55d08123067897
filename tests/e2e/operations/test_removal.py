"""Tests the removal of the platform by an operator with only the policies of docs/policies/."""

from __future__ import annotations

import json
import re
import time

import pytest

from ops.cloud import ROLE_VARIABLE
from ops.deployment.remove import TOPIC_NOTE
from ops.root import Root
from ops.terraform.state import read_state
from tests.e2e.support.commands import run_ops
from tests.e2e.support.operators import (
    DELETE_ACTIONS,
    DEPLOY_POLICIES,
    RESOURCE_ACTIONS,
    TAG_ACTIONS,
    collect_alerts,
    create_operator,
)
from tests.e2e.support.platform import Platform

POLICIES = ("operator", *DEPLOY_POLICIES, "remove-identity")


def test_an_environment_is_removed_and_the_kept_resources_are_listed(
    own_platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, state = own_platform.root, own_platform.cloud.environment.state
    s3, outputs = own_platform.aws("s3"), own_platform.outputs
    # Creates object versions, a delete marker, and a key (`a+b`) that Terraform cannot delete.
    for bucket in (
        outputs["frontend_bucket"],
        outputs["avatars_bucket"],
        outputs["attachments_bucket"],
    ):
        for key in ("a+b", "c", "c"):
            s3.put_object(Bucket=bucket, Key=key, Body=b"x")
        s3.delete_object(Bucket=bucket, Key="c")
    # A removal must also work after an operator has deleted resources manually. Deleting the
    # instances here also saves 30 s.
    rds = own_platform.aws("rds")
    for instance in rds.describe_db_instances()["DBInstances"]:
        rds.delete_db_instance(
            DBInstanceIdentifier=instance["DBInstanceIdentifier"], SkipFinalSnapshot=True
        )
    with (
        create_operator(
            own_platform,
            "remover-test",
            POLICIES,
            extra_actions=[*RESOURCE_ACTIONS, *TAG_ACTIONS, *DELETE_ACTIONS],
        ) as role,
        collect_alerts(own_platform) as alerts,
    ):
        monkeypatch.setenv(ROLE_VARIABLE, role)
        begun = time.monotonic()
        response = json.loads(run_ops(root, "remove", "local", "--json", stdin="local\n"))
        print(f"removing {response['removed']} resources took {time.monotonic() - begun:.1f} s")
        second = json.loads(run_ops(root, "remove", "local", "--json"))
    assert [(message["Subject"], TOPIC_NOTE in message["Message"]) for message in alerts] == [
        ("local: removal started", True)
    ]
    assert response["removed"] > 300
    assert not Root(root).platform_file.exists()

    remaining = read_state(own_platform.cloud)
    assert remaining
    assert (remaining["resources"], remaining["outputs"]) == ([], {})
    kept = response["kept"]
    customer_key = re.search(r"customer key (\S+):", "\n".join(kept))
    assert any(f"s3://{state.bucket}/{state.key}" in line for line in kept)
    assert customer_key
    described = own_platform.aws("kms").describe_key(KeyId=customer_key[1])["KeyMetadata"]
    assert described["KeyState"] == "PendingDeletion"
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == [state.bucket]
    assert own_platform.aws("dynamodb").list_tables()["TableNames"] == []
    assert own_platform.aws("lambda").list_functions()["Functions"] == []
    roles = own_platform.aws("iam").list_roles()["Roles"]
    assert not [role["RoleName"] for role in roles if role["RoleName"].endswith("-local")]
    assert own_platform.aws("logs").describe_log_groups()["logGroups"] == []

    assert (second["removed"], second["kept"]) == (
        0,
        [line for line in kept if "customer key" not in line],
    )
