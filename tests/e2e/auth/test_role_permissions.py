"""Tests that each role has exactly the permissions that its function needs, and that secrets do not
leak.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from typing import Any, get_args

import boto3
import pytest
from botocore.exceptions import ClientError

from environments import FunctionName
from lambdas.ai.api_keys import UNSET
from lambdas.route_tables import route_tables
from tests.e2e.scenarios import SCENARIOS
from tests.e2e.scenarios.context import ScenarioContext
from tests.e2e.support.api_client import Api
from tests.e2e.support.faults import Role, list_actions
from tests.e2e.support.files import read_files
from tests.e2e.support.platform import Platform
from tests.e2e.support.routes import choose_body, fill_path
from tests.e2e.support.users import Person

UNCHECKED_SIDS = {
    "Logs",
    "Traces",
    "NetworkInterfaces",
    "StreamSource",
    "QueueSource",
    "QueueKey",
    "Alert",
    "EncryptAlert",
}
"""Sids of statements that the embedded AWS does not check.

Most allow calls that Lambda itself makes with the role. `QueueKey` and `EncryptAlert` allow calls
to KMS that SQS and SNS make.
"""

REMOVES_SINGLE_ACTIONS = os.environ.get("PERMISSIONS") == "actions"
"""True if `test_every_permission_is_needed` removes single actions instead of whole statements.

The test then takes two minutes instead of one.
"""

FUNCTIONS = get_args(FunctionName)
CACHED = ("ssm:", "rds-db:", "elasticache:")
"""Prefixes of the actions for secrets and connections, which a Lambda function caches."""


def test_no_function_lacks_a_permission(platform: Platform, person: Person, api: Api) -> None:
    """Calls all routes, and then searches the functions' logs for denied calls to AWS."""
    begun = int(time.time() * 1000)
    for routes in route_tables().values():
        for route in routes:
            assert api.call(
                route.method, fill_path(route), choose_body(route), token=person.access_token
            ).status not in {500, 502}
    for function in FUNCTIONS:
        lines = list(platform.read_log_lines(function, since=begun))
        assert not [
            line for line in lines if "AccessDenied" in line or "not authorized to perform" in line
        ], function
        # Functions without routes log only failures.
        assert lines or function not in route_tables(), f"{function} has logged nothing"


@pytest.mark.parametrize("function", SCENARIOS)
@pytest.mark.exclusive
def test_every_route_and_event_works_with_the_deployed_roles(
    platform: Platform, function: str
) -> None:
    context = ScenarioContext(platform, function)
    succeeded = [name for run_scenario in SCENARIOS[function] for name in run_scenario(context)]
    if function in route_tables():
        routes = [name for name in succeeded if " /" in name]  # names without a path are events
        assert sorted(routes) == sorted(
            f"{route.method} {route.path}" for route in route_tables()[function]
        )
    assert not context.find_refusals()


@pytest.mark.parametrize("function", SCENARIOS)
@pytest.mark.exclusive
def test_every_permission_is_needed(platform: Platform, function: str) -> None:
    """Removes one statement of the role at a time, and expects a route or event to fail."""
    context, role = ScenarioContext(platform, function), Role(platform, function)
    unneeded = []
    for sid, statement in role.statements.items():
        if sid in UNCHECKED_SIDS:
            continue
        all_actions = list_actions(statement)
        for actions in (
            [[action] for action in all_actions] if REMOVES_SINGLE_ACTIONS else [all_actions]
        ):
            with role.remove_actions(sid, *actions):
                if not does_scenario_fail(context, actions):
                    unneeded.append(f"{sid}: {', '.join(actions)}")
    assert not unneeded


def does_scenario_fail(context: ScenarioContext, actions: Sequence[str]) -> bool:
    """Returns True if a scenario of the function fails without these actions."""
    context.ignore_earlier_lines()
    if any(action.startswith(CACHED) for action in actions):
        context.restart_function()
    try:
        for run_scenario in SCENARIOS[context.function]:
            for _ in run_scenario(context):
                pass
    except AssertionError:
        # The cause is a removed action: the scenario succeeds with the complete role, as
        # test_every_route_and_event_works_with_the_deployed_roles shows.
        return True
    # Some denied calls do not fail the request. For example, if an event cannot be published, it is
    # published later.
    return any(action in line for line in context.find_refusals() for action in actions)


@pytest.fixture
def auth_role(platform: Platform) -> boto3.Session:
    """Returns a boto3 session with credentials of the auth function's role."""
    arn = platform.aws("iam").get_role(RoleName="auth-role-local")["Role"]["Arn"]
    credentials = platform.aws("sts").assume_role(RoleArn=arn, RoleSessionName="test")[
        "Credentials"
    ]
    return boto3.Session(
        credentials["AccessKeyId"],
        credentials["SecretAccessKey"],
        credentials["SessionToken"],
        "us-east-1",
    )


def test_auth_can_read_only_its_own_tables(platform: Platform, auth_role: boto3.Session) -> None:
    dynamodb = auth_role.client("dynamodb", **platform.server)

    def read(table: str, key: str) -> None:
        dynamodb.get_item(TableName=table, Key={key: {"S": "x"}})

    read("auth-sessions-local", "session_id")
    for call in (
        lambda: read("profile-aliases-local", "alias_key"),
        lambda: read("platform-idempotency-local", "idempotency_key"),
        lambda: dynamodb.scan(TableName="auth-sessions-local"),
        lambda: dynamodb.delete_table(TableName="auth-sessions-local"),
        lambda: auth_role.client("ssm", **platform.server).get_parameter(
            Name="/multitask/local/gemini-api-key", WithDecryption=True
        ),
    ):
        with pytest.raises(ClientError) as denied:
            call()
        assert denied.value.response["Error"]["Code"] in {"AccessDenied", "AccessDeniedException"}


def read_secrets(platform: Platform) -> Iterator[tuple[str, bytes]]:
    """Yields every version of every secret, except for the placeholder of unset secrets."""
    for name in ("jwt-secret", "cursor-key", "gemini-api-key", "openai-api-key"):
        pages = platform.aws("ssm").get_paginator("get_parameter_history")
        for page in pages.paginate(Name=f"/multitask/local/{name}", WithDecryption=True):
            for version in page["Parameters"]:
                if version["Value"] == UNSET:
                    continue
                assert len(version["Value"]) >= 32
                yield f"{name}:{version['Version']}", version["Value"].encode()


def read_stored_texts(platform: Platform) -> Iterator[tuple[str, bytes]]:
    """Yields the name and the content of everything that the platform stores, returns or logs."""
    state = platform.cloud.environment.state
    s3 = platform.aws("s3")
    for version in s3.list_object_versions(Bucket=state.bucket)["Versions"]:
        body = s3.get_object(
            Bucket=state.bucket, Key=version["Key"], VersionId=version["VersionId"]
        )["Body"].read()
        yield f"state {version['Key']}@{version['VersionId']}", body
    for directory in (platform.root / "cdktf.out", platform.root / "logs"):
        for file, content in read_files(directory):
            yield str(file), content
    yield "platform.json", (platform.root / "platform.json").read_bytes()
    for page in platform.aws("lambda").get_paginator("list_functions").paginate():
        for function in page["Functions"]:
            yield f"function {function['FunctionName']}", json.dumps(function, default=str).encode()
    logs: Any = platform.aws("logs")
    for page in logs.get_paginator("describe_log_groups").paginate():
        for group in page["logGroups"]:
            for events in logs.get_paginator("filter_log_events").paginate(
                logGroupName=group["logGroupName"]
            ):
                yield f"log {group['logGroupName']}", json.dumps(events["events"]).encode()


@pytest.mark.exclusive
def test_a_secret_is_stored_only_in_its_parameter(platform: Platform, person: Person) -> None:
    person.refresh()
    values = dict(read_secrets(platform))
    assert len(values) >= 2
    searched = set()
    for location, content in read_stored_texts(platform):
        searched.add(location.split()[0])
        for name, value in values.items():
            assert value not in content, f"{name} is in {location}"
    assert {"state", "function", "log"} <= searched


def test_tokens_and_passwords_are_not_logged(platform: Platform, person: Person, api: Api) -> None:
    person.try_log_in(password="Tell-tale-pass-1").expect_problem(401)
    person.refresh()
    api.get("/v1/profile", token=person.access_token).expect(200)
    logs = "\n".join(line for function in FUNCTIONS for line in platform.read_log_lines(function))
    for secret in (
        person.password,
        "Tell-tale-pass-1",
        person.access_token,
        person.refresh_token,
        person.email,
    ):
        assert secret not in logs
    assert person.user_id in logs
