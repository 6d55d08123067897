"""Releases on the applied platform, by an operator who has docs/policies/operator.json and nothing else, with IAM enforced.

The embedded AWS keeps an alias's weights and routes by none of them, so a bake's traffic is the probes, and the split itself is seen on the
alias.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from ops.cloud import Cloud, connect
from ops.deploy import stack_of
from ops.ledger import Ledger
from ops.root import PROJECT, Root
from tests.e2e.support import Platform, eventually

FUNCTION = "health-lambda-local"
ROLLBACK_LIMIT = 5.0
"""Seconds (issue's figure)."""
SLOWDOWN = 2.0
"""A test run shares the machine's cores; the figure is for one alone."""
PARTS = ("ops", "lambdas", "modules", "environments", "web", "tools")

BAD_AFTER = """

_good = handler
_calls: list[int] = []


def handler(event, context):
    _calls.append(1)
    if len(_calls) > 2:
        {what}
    return _good(event, context)
"""


class Checkout:
    """A copy of the checkout, whose code a test may change, and the operator who works in it."""

    def __init__(self, directory: Path, platform: Platform, role: str | None) -> None:
        self.directory, self._platform, self._role = directory, platform, role
        for part in PARTS:
            shutil.copytree(PROJECT / part, directory / part, ignore=shutil.ignore_patterns("__pycache__"))
        for file in ("main.py", "Pipfile.lock"):
            shutil.copy(PROJECT / file, directory / file)
        (directory / ".build").mkdir()
        (directory / ".build" / "dependencies").symlink_to(PROJECT / ".build" / "dependencies")

    def change(self, text: str) -> None:
        """Appends to the health function's handler."""
        original = (PROJECT / "lambdas" / "health" / "handler.py").read_text()
        (self.directory / "lambdas" / "health" / "handler.py").write_text(original + text)

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        environment = {**os.environ, **variables, **({"OPERATOR_ROLE_ARN": self._role} if self._role else {})}
        return subprocess.Popen(
            [sys.executable, "-m", "ops", *arguments, "--root", str(self._platform.root)],
            cwd=self.directory,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ops(self, *arguments: str, status: int = 0, **variables: str) -> tuple[str, str]:
        """Runs a command; what it answered, and what it said."""
        process = self.start(*arguments, **variables)
        answered, said = process.communicate(timeout=300)
        assert process.returncode == status, f"ops {' '.join(arguments)}: {process.returncode}: {said[-3000:]}"
        return answered, said


@pytest.fixture(scope="module")
def role(platform: Platform) -> Iterator[str]:
    """A role with the written-down policy, filled in for this environment."""
    text = (PROJECT / "docs" / "policies" / "operator.json").read_text()
    for name, value in (("environment", "local"), ("account", "000000000000"), ("region", "us-east-1")):
        text = text.replace(f"<{name}>", value)
    with made_role(platform, "operator-test") as (arn, name):
        platform.aws("iam").put_role_policy(RoleName=name, PolicyName="operator", PolicyDocument=text)
        yield arn


class made_role:  # noqa: N801 - a context manager
    """A role that the embedded AWS's root may take on; gone afterwards."""

    def __init__(self, platform: Platform, name: str) -> None:
        self._iam, self._name = platform.aws("iam"), name

    def __enter__(self) -> tuple[str, str]:
        trust = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::000000000000:root"}, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        made = self._iam.create_role(RoleName=self._name, AssumeRolePolicyDocument=document)
        return made["Role"]["Arn"], self._name

    def __exit__(self, *_: object) -> None:
        for policy in self._iam.list_role_policies(RoleName=self._name)["PolicyNames"]:
            self._iam.delete_role_policy(RoleName=self._name, PolicyName=policy)
        for policy in self._iam.list_attached_role_policies(RoleName=self._name)["AttachedPolicies"]:
            self._iam.detach_role_policy(RoleName=self._name, PolicyArn=policy["PolicyArn"])
        self._iam.delete_role(RoleName=self._name)


@pytest.fixture(scope="module")
def checkout(platform: Platform, role: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """The operator's checkout; the platform serves the real one's code again at the end."""
    made = Checkout(tmp_path_factory.mktemp("checkout"), platform, role)
    yield made
    made.change("")
    made.ops("deploy-function", "local", "health")


def alias(platform: Platform) -> tuple[str, dict[str, float]]:
    """The version that serves, and the weights of others."""
    found = platform.aws("lambda").get_alias(FunctionName=FUNCTION, Name="live")
    return found["FunctionVersion"], (found.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}


def history(platform: Platform) -> list[Any]:
    return Ledger(platform.cloud).history("health")


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ('raise RuntimeError("a bug that shows late")', "failed invocations"),
        ('__import__("time").sleep(9)', "health is slow: p99"),
    ],
    ids=["errors", "slow"],
)
def test_a_bad_release_is_caught_and_put_back(platform: Platform, checkout: Checkout, what: str, reason: str) -> None:
    before, _ = alias(platform)
    checkout.change(BAD_AFTER.format(what=what))
    _, said = checkout.ops("release", "local", "health", "--bake", "20s", status=1)
    assert "Traffic: 10 % to health" in said
    assert f"all of health is back on version {before}" in said
    assert reason in said
    assert alias(platform) == (before, {})
    latest = history(platform)[0]
    assert (latest.outcome, latest.from_version) == ("put back", before)
    assert "operator-test" in latest.who


def test_a_killed_release_leaves_one_good_version_and_a_rerun_continues(platform: Platform, checkout: Checkout) -> None:
    before, _ = alias(platform)
    checkout.change("\n# a good change\n")
    first = checkout.start("release", "local", "health", "--bake", "5m", "--weight", "25")
    [(version, weight)] = eventually(lambda: list(alias(platform)[1].items()), 60)
    assert weight == 0.25

    _, said = checkout.ops("release", "local", "health", status=1)  # two at once: one is refused
    assert "local is being changed: release of health by" in said
    assert alias(platform) == (before, {version: 0.25})

    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert alias(platform)[0] == before

    _, said = checkout.ops("release", "local", "health", "--bake", "3s")
    assert "Took the lock over from a command that was killed" in said
    assert f"was left with 25% on version {version}: all traffic is on version {before} again" in said
    assert alias(platform) == (version, {})
    assert [record.outcome for record in history(platform)[:2]] == ["promoted", "abandoned"]


def test_a_rollback_is_one_move_of_seconds(platform: Platform, checkout: Checkout) -> None:
    now, _ = alias(platform)
    before = history(platform)[0].from_version
    begun = time.monotonic()
    answered, _ = checkout.ops("rollback", "local", "health", "--json")
    took = time.monotonic() - begun
    print(f"rollback took {took:.1f} s")
    assert json.loads(answered) == [{"service": "health", "from": now, "to": before}]
    assert alias(platform) == (before, {})
    assert took < ROLLBACK_LIMIT * SLOWDOWN
    _, said = checkout.ops("rollback", "local", "health", "--to", "9999", status=1)
    assert "health has no version 9999" in said


def test_every_other_command_of_an_operator(platform: Platform, checkout: Checkout) -> None:
    begun = time.monotonic()
    checks = json.loads(checkout.ops("smoke", "local", "--json")[0])
    print(f"smoke took {time.monotonic() - begun:.1f} s for {len(checks)} requests")
    assert all(check["ok"] for check in checks), [check for check in checks if not check["ok"]]
    assert time.monotonic() - begun < 60
    pool = platform.outputs["cognito_user_pool_id"]
    user = platform.aws("cognito-idp").admin_get_user(UserPoolId=pool, Username="smoke-test@multitask.invalid")
    assert not user["Enabled"]

    assert json.loads(checkout.ops("deploy-function", "local", "health", "--json")[0])
    serving, _ = alias(platform)
    gone = json.loads(checkout.ops("prune", "local", "--keep", "1", "--json")[0])
    assert gone["health"]
    assert serving not in gone["health"]
    published = json.loads(checkout.ops("publish-site", "local", "--json")[0])
    page = checkout.directory / "web" / "index.html"
    page.write_text(page.read_text().replace("Checks</h2>", "Checks, again</h2>"))
    changed = json.loads(checkout.ops("publish-site", "local", "--json")[0])
    assert changed["published"] == ["index.html"]
    back = json.loads(checkout.ops("publish-site", "local", "--rollback", "--json")[0])
    assert back["digest"] == published["digest"] != changed["digest"]
    shutil.copy(PROJECT / "web" / "index.html", page)


def test_an_operator_may_do_nothing_else(platform: Platform, role: str) -> None:
    credentials = platform.aws("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    session = boto3.Session(
        credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"], "us-east-1"
    )

    def client(service: Any) -> Any:
        return session.client(service, endpoint_url=platform.cloud.endpoint)

    calls: list[Callable[[], Any]] = [
        lambda: client("dynamodb").query(
            TableName="auth-sessions-local",
            KeyConditionExpression="session_id = :s",
            ExpressionAttributeValues={":s": {"S": "x"}},
        ),
        lambda: client("dynamodb").delete_table(TableName="platform-releases-local"),
        lambda: client("lambda").delete_function(FunctionName=FUNCTION),
        lambda: client("lambda").update_function_configuration(FunctionName=FUNCTION, MemorySize=128),
        lambda: client("ssm").get_parameter(Name="/multitask/local/jwt-secret", WithDecryption=True),
        lambda: client("iam").create_role(RoleName="more", AssumeRolePolicyDocument="{}"),
    ]
    for call in calls:
        with pytest.raises(ClientError) as refused:
            call()
        assert "AccessDenied" in refused.value.response["Error"]["Code"]


def gradual(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """The same environment, with releases as staging and prod have them."""
    monkeypatch.setenv("LOCAL_RELEASE_STRATEGY", "gradual")
    cloud = connect("local", Root(platform.root))
    assert cloud.environment.release_strategy == "gradual"
    return cloud


def test_where_releases_are_gradual_an_apply_does_not_undo_one(
    platform: Platform, checkout: Checkout, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The state and the program name the newest version; the release has gone back to an older one."""
    cloud = gradual(platform, monkeypatch)
    checkout.change("\n# another good change\n")
    checkout.ops("release", "local", "health", "--promote")
    checkout.ops("rollback", "local", "health")
    released, _ = alias(platform)
    newest = platform.aws("lambda").list_versions_by_function(FunctionName=FUNCTION)["Versions"][-1]["Version"]
    assert released != newest
    stack = stack_of(cloud, Root(platform.root), tmp_path)
    stack.plan(tmp_path / "plan", ["-lock=false"])
    shown = stack.show(tmp_path / "plan")
    moved = [
        item["address"]
        for item in shown["resource_changes"]
        if item["type"] == "aws_lambda_alias" and item["change"]["actions"] != ["no-op"]
    ]
    assert moved == []
    stack.apply()
    assert alias(platform) == (released, {})


def test_an_apply_that_would_remove_what_the_live_version_uses_is_refused(platform: Platform, tmp_path: Path) -> None:
    """The program gives a table of auth another name, which replaces it; the live version has the old name in its settings."""
    changed = Checkout(tmp_path, platform, role=None)
    for file in (changed.directory / "modules").rglob("*.py"):
        text = file.read_text()
        if "rate-limits" in text:
            file.write_text(text.replace("rate-limits", "attempt-limits"))
    _, said = changed.ops("deploy", "local", "--yes", status=1, LOCAL_RELEASE_STRATEGY="gradual")
    assert "Not applied, because versions that serve still use what the plan takes away" in said
    assert "of auth names it in its settings" in said
    assert platform.aws("dynamodb").describe_table(TableName="auth-rate-limits-local")


UNRESOURCED = [
    "budgets:DescribeBudget",  # on AWS budgets:ViewBudget
    "budgets:DescribeNotificationsForBudget",
    "budgets:DescribeSubscribersForNotification",
    "budgets:ListTagsForResource",
    "cloudfront:DescribeFunction",
    "cloudfront:GetFunction",
    "cloudfront:GetOriginAccessControl",
    "cloudfront:GetResponseHeadersPolicy",
    "cloudfront:ListTagsForResource",
    "cloudwatch:GetDashboard",
    "cloudwatch:ListTagsForResource",
    "dynamodb:ListTagsOfResource",
    "elasticache:DescribeCacheSubnetGroups",
    "elasticache:ListTagsForResource",
    "events:DescribeArchive",
    "events:ListTagsForResource",
    "events:ListTargetsByRule",
    "lambda:ListTags",
    "logs:ListTagsForResource",
    "rds:ListTagsForResource",
    "sns:ListTagsForResource",
    "wafv2:GetWebACLForResource",
    "wafv2:ListTagsForResource",
]
"""What the role has for its own resources, and the embedded AWS asks for without saying of which resource."""


def test_the_nightly_comparison_sees_what_was_changed_by_hand(platform: Platform, tmp_path: Path) -> None:
    """Under the drift role's own policies, as the stack made them."""
    group, days = "/aws/lambda/auth-lambda-local", 30
    with made_role(platform, "drift-test") as (arn, name):
        iam = platform.aws("iam")
        for policy in iam.list_policies(Scope="Local")["Policies"]:
            if policy["PolicyName"].startswith("platform-drift-"):
                iam.attach_role_policy(RoleName=name, PolicyArn=policy["Arn"])
        unresourced = {"Effect": "Allow", "Action": UNRESOURCED, "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [unresourced]})
        iam.put_role_policy(RoleName=name, PolicyName="unresourced", PolicyDocument=document)
        checkout = Checkout(tmp_path, platform, arn)
        logs = platform.aws("logs")
        before = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"][0]["retentionInDays"]
        logs.put_retention_policy(logGroupName=group, retentionInDays=days)
        try:
            answered, _ = checkout.ops("drift", "local", "--json", status=2)
        finally:
            logs.put_retention_policy(logGroupName=group, retentionInDays=before)
    [found] = json.loads(answered)
    assert found["attributes"] == ["retention_in_days"]
    assert found["address"].startswith("aws_cloudwatch_log_group.auth")
