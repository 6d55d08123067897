"""Tests releases by operators who have only the policies of docs/policies/, with IAM enforced.

The embedded AWS stores the weights of an alias but does not apply them. Only probes therefore reach
the new version during a bake period, and tests read the weights from the alias.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from ops.cloud import ROLE_VARIABLE
from ops.deployment.deploy import DEPLOYMENT
from ops.deployment.promote import GATE, GATES, PROMOTION
from ops.root import PROJECT
from ops.traffic.ledger import Ledger
from tests.e2e.support.commands import run_ops
from tests.e2e.support.operators import (
    DEPLOY_POLICIES,
    RESOURCE_ACTIONS,
    TAG_ACTIONS,
    Checkout,
    collect_alerts,
    create_operator,
    create_role,
)
from tests.e2e.support.platform import Platform
from tests.waiting import wait_for

FUNCTION = "health-lambda-local"
ROLLBACK_LIMIT = 5.0
"""Seconds. The required duration of a rollback."""
SLOWDOWN = 2.0
"""Factor by which the limits of durations are raised, because other tests use the same cores.

The requirements are for an idle machine.
"""
FAULTY_HANDLER = """

_correct_handler = handler
_calls: list[int] = []


def handler(event, context):
    _calls.append(1)
    if len(_calls) > 2:
        {fault}
    return _correct_handler(event, context)
"""


@pytest.fixture(scope="module")
def role(platform: Platform) -> Iterator[str]:
    with create_operator(platform, "operator-test") as arn:
        yield arn


@pytest.fixture(scope="module")
def checkout(
    platform: Platform, role: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Checkout]:
    """Yields a copy of the project, in which the operator runs commands.

    At the end, deploys the health function with the project's unchanged code.
    """
    checkout = Checkout(tmp_path_factory.mktemp("checkout"), platform, role)
    yield checkout
    checkout.change_handler("")
    checkout.run_ops("deploy-function", "local", "health")


def read_alias(platform: Platform) -> tuple[str, dict[str, float]]:
    """Returns the live version and the weights of other versions."""
    alias = platform.aws("lambda").get_alias(FunctionName=FUNCTION, Name="live")
    return alias["FunctionVersion"], (alias.get("RoutingConfig") or {}).get(
        "AdditionalVersionWeights"
    ) or {}


def read_history(platform: Platform) -> list[Any]:
    return Ledger(platform.cloud).history("health")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ('raise RuntimeError("a bug that appears late")', "failed invocations"),
        ('__import__("time").sleep(9)', "health is slow: its p99"),
    ],
    ids=["errors", "slow"],
)
def test_a_faulty_release_is_detected_and_rolled_back(
    platform: Platform, checkout: Checkout, fault: str, reason: str
) -> None:
    before, _ = read_alias(platform)
    checkout.change_handler(FAULTY_HANDLER.format(fault=fault))
    _, stderr = checkout.run_ops("release", "local", "health", "--bake", "6s", status=1)
    assert "Traffic: 10 % to health" in stderr
    assert f"all requests to health are back on version {before}" in stderr
    assert reason in stderr
    assert read_alias(platform) == (before, {})
    latest = read_history(platform)[0]
    assert (latest.outcome, latest.from_version) == ("rolled back", before)
    assert "operator-test" in latest.who


def test_a_killed_release_leaves_the_old_version_live_and_the_next_release_succeeds(
    platform: Platform, checkout: Checkout
) -> None:
    before, _ = read_alias(platform)
    checkout.change_handler("\n# a harmless change\n")
    first = checkout.start_ops("release", "local", "health", "--bake", "5m", "--weight", "25")
    [(version, weight)] = wait_for(lambda: list(read_alias(platform)[1].items()), 60)
    assert weight == 0.25

    _, stderr = checkout.run_ops(
        "release", "local", "health", status=1
    )  # a concurrent release is rejected while another one holds the lock
    assert "local is being changed: release of health by" in stderr
    assert read_alias(platform) == (before, {version: 0.25})

    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert read_alias(platform)[0] == before

    _, stderr = checkout.run_ops("release", "local", "health", "--bake", "3s")
    assert "Took over the lock from a command that was killed" in stderr
    assert (
        f"left 25% of the traffic on version {version}:"
        f" all traffic is on version {before} again" in stderr
    )
    assert read_alias(platform) == (version, {})
    assert [record.outcome for record in read_history(platform)[:2]] == ["promoted", "abandoned"]


def test_a_rollback_shifts_all_traffic_to_the_previous_version_within_seconds(
    platform: Platform, checkout: Checkout
) -> None:
    live, _ = read_alias(platform)
    before = read_history(platform)[0].from_version
    begun = time.monotonic()
    stdout, _ = checkout.run_ops("rollback", "local", "health", "--json")
    seconds = time.monotonic() - begun
    print(f"rollback took {seconds:.1f} s")
    assert json.loads(stdout) == [{"service": "health", "from": live, "to": before}]
    assert read_alias(platform) == (before, {})
    assert seconds < ROLLBACK_LIMIT * SLOWDOWN
    _, stderr = checkout.run_ops("rollback", "local", "health", "--to", "9999", status=1)
    assert "health has no version 9999" in stderr


@pytest.mark.exclusive
def test_an_operator_can_run_smoke_deploy_function_prune_and_publish_site(
    platform: Platform, checkout: Checkout
) -> None:
    begun = time.monotonic()
    checks = json.loads(checkout.run_ops("smoke", "local", "--json")[0])
    print(f"smoke took {time.monotonic() - begun:.1f} s for {len(checks)} requests")
    assert all(check["ok"] for check in checks), [check for check in checks if not check["ok"]]
    assert time.monotonic() - begun < 60
    pool = platform.outputs["cognito_user_pool_id"]
    user = platform.aws("cognito-idp").admin_get_user(
        UserPoolId=pool, Username="smoke-test@multitask.invalid"
    )
    assert not user["Enabled"]

    assert json.loads(checkout.run_ops("deploy-function", "local", "health", "--json")[0])
    serving, _ = read_alias(platform)
    pruned = json.loads(checkout.run_ops("prune", "local", "--keep", "1", "--json")[0])
    assert pruned["health"]
    assert serving not in pruned["health"]
    published = json.loads(checkout.run_ops("publish-site", "local", "--json")[0])
    page = checkout.directory / "web" / "index.html"
    page.write_text(page.read_text().replace("Checks</h2>", "Checks, again</h2>"))
    changed = json.loads(checkout.run_ops("publish-site", "local", "--json")[0])
    assert changed["published"] == ["index.html"]
    rolled_back = json.loads(checkout.run_ops("publish-site", "local", "--rollback", "--json")[0])
    assert rolled_back["digest"] == published["digest"] != changed["digest"]
    shutil.copy(PROJECT / "web" / "index.html", page)


def test_an_operator_cannot_make_calls_that_the_policies_do_not_allow(
    platform: Platform, role: str
) -> None:
    credentials = platform.aws("sts").assume_role(RoleArn=role, RoleSessionName="test")[
        "Credentials"
    ]
    session = boto3.Session(
        credentials["AccessKeyId"],
        credentials["SecretAccessKey"],
        credentials["SessionToken"],
        "us-east-1",
    )

    def client(service: Any) -> Any:
        return session.client(service, **platform.server)

    calls: list[Callable[[], Any]] = [
        lambda: client("dynamodb").query(
            TableName="auth-sessions-local",
            KeyConditionExpression="session_id = :s",
            ExpressionAttributeValues={":s": {"S": "x"}},
        ),
        lambda: client("dynamodb").delete_table(TableName="platform-releases-local"),
        lambda: client("lambda").delete_function(FunctionName=FUNCTION),
        lambda: client("lambda").update_function_configuration(
            FunctionName=FUNCTION, MemorySize=128
        ),
        lambda: client("ssm").get_parameter(
            Name="/multitask/local/jwt-secret", WithDecryption=True
        ),
        lambda: client("iam").create_role(RoleName="more", AssumeRolePolicyDocument="{}"),
    ]
    for call in calls:
        with pytest.raises(ClientError) as denied:
            call()
        assert "AccessDenied" in denied.value.response["Error"]["Code"]


SOURCE_ENVIRONMENT = "before"
SUITES = """
import os

import pytest


def test_that_needs_no_platform():
    pass


@pytest.mark.e2e
def test_that_needs_a_platform():
    assert "INTEGRATION_FAILS" not in os.environ
"""
"""The only tests in the copied checkout. The gates of `ops promote` run them.

The project's own tests are not copied, because they would run this module again.
"""


@pytest.fixture
def promotable(platform: Platform, tmp_path: Path) -> Iterator[tuple[Checkout, Ledger]]:
    """Yields a checkout with a clean commit, and the ledger of a source environment.

    `ops promote` can promote the source environment to `local`. The two environments have separate
    ledgers, but the same state and API.
    """
    state = platform.cloud.environment.state
    environment = platform.cloud.environment.model_copy(update={"name": SOURCE_ENVIRONMENT})
    extra_actions = [*RESOURCE_ACTIONS, *TAG_ACTIONS]
    with (
        create_operator(
            platform,
            "promoter-test",
            ("operator", *DEPLOY_POLICIES, "deploy-identity"),
            extra_actions=extra_actions,
        ) as role,
        create_operator(
            platform, "before-test", environment=SOURCE_ENVIRONMENT, state_key=state.key
        ) as role_before,
        copy_table_keys(
            platform, "platform-releases-local", f"platform-releases-{SOURCE_ENVIRONMENT}"
        ),
    ):
        # By default, `ops` uses the embedded AWS only for `local`. These variables select it for
        # the source environment too.
        variables = {**platform.cloud.variables, "BEFORE_OPERATOR_ROLE_ARN": role_before}
        checkout = Checkout(tmp_path, platform, role, **variables, LOCAL_RELEASE_STRATEGY="gradual")
        environments = checkout.directory / "environments"
        local = (environments / "local.yml").read_text()
        (environments / "local.yml").write_text(f"{local}promoted_from: {SOURCE_ENVIRONMENT}\n")
        shared = re.sub(r"^state:.*$", f"state: {state.model_dump_json()}", local, flags=re.M)
        (environments / f"{SOURCE_ENVIRONMENT}.yml").write_text(shared)
        (checkout.directory / "tests").mkdir()
        (checkout.directory / "tests" / "test_suites.py").write_text(SUITES)
        ledger = Ledger(replace(platform.cloud, environment=environment))
        ledger.store(
            DEPLOYMENT, ledger.now(), {"commit": checkout.commit(), "who": "an earlier deployment"}
        )
        yield checkout, ledger


@contextmanager
def copy_table_keys(platform: Platform, table: str, name: str) -> Iterator[None]:
    """Creates an empty table with the keys of another table. Deletes it at the end of the block."""
    dynamodb = platform.aws("dynamodb")
    description = dynamodb.describe_table(TableName=table)["Table"]
    keys = {part: description[part] for part in ("KeySchema", "AttributeDefinitions")}
    dynamodb.create_table(TableName=name, BillingMode="PAY_PER_REQUEST", **keys)
    try:
        yield
    finally:
        dynamodb.delete_table(TableName=name)


def test_a_promotion_passes_its_gates_applies_and_releases_gradually(
    platform: Platform, checkout: Checkout, promotable: tuple[Checkout, Ledger]
) -> None:
    """Promotes after a rollback.

    The apply in `ops promote` keeps the version of the rollback live. The release follows later.
    """
    checkout.change_handler("\n# another harmless change\n")
    checkout.run_ops("release", "local", "health", "--promote")
    checkout.run_ops("rollback", "local", "health")
    rolled_back, _ = read_alias(platform)
    clean_checkout, source_ledger = promotable
    ledger = Ledger(platform.cloud)
    earlier = ledger.latest(PROMOTION)
    command = ("promote", SOURCE_ENVIRONMENT, "local", "--yes", "--bake", "2s", "--json")

    _, stderr = clean_checkout.run_ops(*command, status=1, INTEGRATION_FAILS="1")
    assert "Gate tests: passed" in stderr
    assert "Gate integration failed (pytest exit status 1): nothing was promoted" in stderr
    assert ledger.latest(PROMOTION) == earlier
    assert read_alias(platform) == (rolled_back, {})

    with collect_alerts(platform) as alerts:
        begun = time.monotonic()
        stdout, stderr = clean_checkout.run_ops(*command)
        print(f"promotion took {time.monotonic() - begun:.1f} s")
    result = json.loads(stdout)
    # The suite passed in the previous attempt to promote this commit, so it is not run again.
    assert "Gate tests: passed at" in stderr
    assert "Gate integration: running" in stderr
    assert "Applied: " in stderr
    released = read_history(platform)[0]
    assert (released.kind, released.from_version, released.outcome) == (
        "release",
        rolled_back,
        "promoted",
    )
    assert f"Traffic: 10 % to health {released.to_version}" in stderr
    assert read_alias(platform) == (released.to_version, {})
    assert (result["from"], result["to"], set(result["gates"])) == (
        SOURCE_ENVIRONMENT,
        "local",
        set(GATES),
    )
    recorded = ledger.latest(PROMOTION)[0]
    assert recorded["commit"] == result["commit"] == ledger.latest(DEPLOYMENT, 1)[0]["commit"]
    assert "promoter-test" in recorded["who"]
    assert source_ledger.get(GATE, f"{result['commit']}/integration")
    assert [message["Subject"] for message in alerts] == [
        "local: deploy started",
        "local: deploy succeeded",
    ]


def test_an_apply_that_removes_a_resource_of_the_live_version_is_rejected(
    platform: Platform, tmp_path: Path
) -> None:
    """Renames a table that auth's live version still uses. Terraform would replace the table."""
    checkout = Checkout(tmp_path, platform, role=None)
    for file in (checkout.directory / "modules").rglob("*.py"):
        text = file.read_text()
        if "rate-limits" in text:
            file.write_text(text.replace("rate-limits", "attempt-limits"))
    _, stderr = checkout.run_ops(
        "deploy", "local", "--yes", status=1, LOCAL_RELEASE_STRATEGY="gradual"
    )
    assert "Not applied, because live versions still use resources that the plan removes" in stderr
    assert "of auth refers to it in its configuration" in stderr
    assert platform.aws("dynamodb").describe_table(TableName="auth-rate-limits-local")


def test_the_drift_check_reports_manual_changes(platform: Platform) -> None:
    """Runs `ops drift` with a role that has the policies of the stack's drift role."""
    group, days = "/aws/lambda/auth-lambda-local", 30
    drift_policies = [
        policy["PolicyArn"]
        for policy in platform.aws("iam").list_attached_role_policies(
            RoleName="platform-drift-role-local"
        )["AttachedPolicies"]
    ]
    with create_role(
        platform, "drift-test", {"unresourced": RESOURCE_ACTIONS}, drift_policies
    ) as arn:
        logs = platform.aws("logs")
        before = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"][0][
            "retentionInDays"
        ]
        logs.put_retention_policy(logGroupName=group, retentionInDays=days)
        try:
            stdout = run_ops(
                platform.root, "drift", "local", "--json", variables={ROLE_VARIABLE: arn}, status=2
            )
        finally:
            logs.put_retention_policy(logGroupName=group, retentionInDays=before)
    [finding] = json.loads(stdout)
    assert finding["attributes"] == ["retention_in_days"]
    assert finding["address"].startswith("aws_cloudwatch_log_group.auth")
