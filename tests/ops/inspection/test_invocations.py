"""Tests the examples of events, and invocations of a fake function."""

from __future__ import annotations

import base64
import io
import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from environments import load_environment
from ops.__main__ import app
from ops.cloud import Cloud
from ops.commands.index import ENTRIES
from ops.errors import OperatorError
from ops.inspection.invocations import find_example, invoke_function, list_examples
from ops.smoke import load_suites
from tests.ops.clouds import FakeCloud, store_state

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1In0.c2lnbmF0dXJl"


class FakeLambda:
    """A Lambda client that returns a result or a function error, and records the payloads."""

    def __init__(self, result: Any, *, error: str | None = None, log: str = "") -> None:
        self.payloads: list[Any] = []
        self._result, self._error, self._log = result, error, log

    def invoke(self, **call: Any) -> dict[str, Any]:
        self.payloads.append(json.loads(call["Payload"]))
        return {
            "Payload": io.BytesIO(json.dumps(self._result).encode()),
            "ExecutedVersion": "3",
            "LogResult": base64.b64encode(self._log.encode()).decode(),
            "ResponseMetadata": {"RequestId": "request-1"},
            **({"FunctionError": self._error} if self._error else {}),
        }


def connect(cloud: Cloud, function: FakeLambda, environment: str = "dev") -> FakeCloud:
    variables = {f"{environment.upper()}_ACCOUNT_ID": "123456789012", "GITHUB_REPOSITORY": "a/b"}
    fake = FakeCloud(
        load_environment(environment, variables=variables), {}, clients={"lambda": function}
    )
    store_state(fake, {"functions": {"relay": f"relay-lambda-{environment}"}})
    return fake


@pytest.mark.parametrize("service", sorted(load_suites()))
def test_every_function_has_examples(service: str) -> None:
    assert list_examples(service)


def test_examples_cover_all_kinds_of_events() -> None:
    kinds = {each.kind for service in load_suites() for each in list_examples(service)}
    assert kinds == {"rest", "websocket", "sqs", "eventbridge", "schedule", "authorizer"}


def test_examples_need_no_response_of_another_request() -> None:
    names = {each.name for each in list_examples("post")}
    assert "GET /v1/posts, as nobody" in names
    assert not any("${postId}" in name for name in names)


def test_an_example_is_found_by_a_unique_part_of_its_name() -> None:
    assert find_example("relay", "unknown event").kind == "sqs"
    with pytest.raises(OperatorError, match="post has several examples 'GET': use one of: "):
        find_example("post", "GET")
    with pytest.raises(OperatorError, match="relay has no example 'x': use one of: an unknown"):
        find_example("relay", "x")


def test_the_example_in_the_help_of_invoke_exists() -> None:
    [entry] = [entry for entry in ENTRIES if entry.name == "invoke"]
    words = shlex.split(entry.example)
    assert find_example(words[3], words[words.index("--example") + 1]).kind == "rest"


def test_the_result_has_version_duration_and_log_lines(cloud: Cloud) -> None:
    log = 'START RequestId: 1\n{"level": "INFO", "message": "done", "n": 1}\nREPORT RequestId: 1'
    function = FakeLambda({"batchItemFailures": []}, log=log)
    result = invoke_function(connect(cloud, function), "relay", {"Records": []})
    assert (result.version, result.request_id, result.error) == ("3", "request-1", None)
    assert result.result == {"batchItemFailures": []}
    assert [(line.message, line.fields) for line in result.lines] == [("done", {"n": 1})]
    assert result.duration >= 0


def test_variables_in_an_event_are_replaced(cloud: Cloud) -> None:
    function = FakeLambda({})
    invoke_function(connect(cloud, function), "relay", find_example("relay", "unknown").event)
    assert "${run}" not in json.dumps(function.payloads)
    assert function.payloads[0]["Records"][0]["body"].startswith('{"eventId": "none-')


def test_an_unknown_variable_is_rejected(cloud: Cloud) -> None:
    with pytest.raises(OperatorError, match="The event has unknown variables: postId. Use "):
        invoke_function(connect(cloud, FakeLambda({})), "relay", {"id": "${postId}"})


def test_an_error_of_the_function_is_reported(cloud: Cloud) -> None:
    function = FakeLambda({"errorType": "KeyError", "errorMessage": "'x'"}, error="Unhandled")
    assert invoke_function(connect(cloud, function), "relay", {}).error == "KeyError: 'x'"


def test_secrets_in_results_are_masked(cloud: Cloud) -> None:
    body = {"accessToken": TOKEN, "note": f"Bearer {TOKEN}", "items": [{"password": "p4ss"}]}
    result = invoke_function(
        connect(cloud, FakeLambda({"statusCode": 200, "body": json.dumps(body)})), "relay", {}
    )
    assert result.result["body"] == {
        "accessToken": "***",
        "note": "Bearer ***",
        "items": [{"password": "***"}],
    }


def test_invocations_need_the_option_write_if_the_environment_retains_data(cloud: Cloud) -> None:
    function = FakeLambda({})
    prod = connect(cloud, function, "prod")
    with pytest.raises(OperatorError, match="prod keeps its data, .* add --write"):
        invoke_function(prod, "relay", {})
    assert function.payloads == []
    invoke_function(prod, "relay", {}, write=True)
    assert function.payloads == [{}]


def test_the_command_lists_examples_and_rejects_wrong_files(tmp_path: Path) -> None:
    run = CliRunner().invoke
    assert "sqs          an unknown event" in run(app, ["invoke", "dev", "relay"]).stdout
    file = tmp_path / "event.json"
    file.write_text("[1]")
    result = run(app, ["invoke", "dev", "relay", "--event", str(file)])
    assert "contains no JSON object" in str(result.exception)
    both = run(app, ["invoke", "dev", "relay", "--event", str(file), "--example", "x"])
    assert both.exit_code == 2
