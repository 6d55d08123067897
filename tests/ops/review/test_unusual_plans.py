"""Tests reviews of unusual and large plans, and their output."""

from __future__ import annotations

import ast
import io
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ops.__main__ import app, connect_to_loopback_directly
from ops.console import accept_any_encoding
from ops.review.document import review_document
from ops.review.markdown import review_markdown
from ops.review.report.html import review_html
from ops.review.review import Review, review
from ops.review.rules import Verdict
from ops.review.text import review_lines
from ops.terraform.plan import read_plan
from tests.ops.review.documents import Block, document, item

SECRET = "correct-horse"


def reviewed(*items: Block, **fields: Any) -> Review:
    return review(read_plan(document(*items, **fields)), "dev")


def texts(result: Review) -> dict[str, str]:
    """Returns the review in every format."""
    return {
        "text": "\n".join(line.plain for line in review_lines(result)),
        "markdown": review_markdown(result),
        "html": review_html(result, None),
        "json": json.dumps(review_document(result)),
    }


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param({}, {"value": True}, id="newly marked"),
        pytest.param({"value": True}, {}, id="no longer marked"),
        pytest.param({"value": True}, {"value": True}, id="always marked"),
        pytest.param(False, {"value": True}, id="`false` instead of the marks before"),
    ],
)
@pytest.mark.parametrize("new", [SECRET, f"{SECRET}-2"])
def test_value_that_is_sensitive_before_or_after_is_hidden_in_every_format(
    before: Any, after: Any, new: str
) -> None:
    entry = item(
        "aws_ssm_parameter",
        "a",
        {"name": "n", "value": SECRET},
        {"name": "n", "value": new},
        actions=["update"],
        before_sensitive=before,
        after_sensitive=after,
    )
    result = reviewed(entry)
    assert not [form for form, text in texts(result).items() if SECRET in text]
    if new == SECRET and before != after:
        assert [reason.rule for reason in result.changes[0].reasons] == ["sensitivity"]
        assert "value: (sensitive) → (sensitive)" in texts(result)["text"]


def test_sensitive_value_in_a_reordered_block_is_hidden_before_and_after() -> None:
    entry = item(
        "aws_x",
        "a",
        {"env": [{"v": SECRET}, {"v": "b"}]},
        {"env": [{"v": "b"}, {"v": SECRET}]},
        before_sensitive={"env": [{"v": True}, {}]},
        after_sensitive={"env": [{}, {"v": True}]},
    )
    assert not [form for form, text in texts(reviewed(entry)).items() if SECRET in text]


def test_action_that_the_plan_invokes_is_named_and_dangerous() -> None:
    action = {"address": "action.aws_lambda_invoke.clear", "type": "aws_lambda_invoke"}
    result = reviewed(action_invocations=[action])
    assert result.verdict is Verdict.DANGEROUS
    assert result.does_anything
    for text in texts(result).values():
        assert "action.aws_lambda_invoke.clear" in text
        assert "nothing changes" not in text
    later = {"reason": "instance_count_unknown", "action_invocation": action}
    assert reviewed(deferred_action_invocations=[later]).verdict is Verdict.REVIEW


def test_deferred_change_is_named_and_the_plan_is_partial() -> None:
    entry = {"reason": "resource_config_unknown", "resource_change": item("aws_x", "a", None, {})}
    result = reviewed(deferred_changes=[entry])
    assert (result.verdict, result.summary) == (
        Verdict.REVIEW,
        "review: 1 deferred, partial plan",
    )
    for text in texts(result).values():
        assert "aws_x.a" in text


def test_incomplete_plan_is_not_safe() -> None:
    assert reviewed(complete=False).verdict is Verdict.REVIEW


def test_imported_resource_is_named_with_its_id() -> None:
    values = {"bucket": "b"}
    result = reviewed(item("aws_s3_bucket", "a", values, values, importing={"id": "b-1"}))
    assert result.summary == "review: 1 imported"
    assert "b-1 is imported" in texts(result)["text"]
    both = item("aws_s3_bucket", "a", values, {**values, "tags": {"a": "1"}}, importing={"id": "b"})
    assert reviewed(both).summary == "review: 1 changed, 1 of them imported"


def test_deposed_object_is_distinguished_from_the_live_one() -> None:
    live = item("aws_lambda_function", "f", {"handler": "f"}, {"handler": "g"})
    left_over = {
        **item("aws_lambda_function", "f", {"function_name": "f"}, None),
        "deposed": "0ab1",
    }
    result = reviewed(live, left_over)
    reasons = {judged.change.deposed: judged.reasons[0].rule for judged in result.changes}
    assert reasons == {None: "otherwise", "0ab1": "deposed"}
    html = texts(result)["html"]
    assert html.count('id="change-1"') == html.count('id="change-2"') == 1
    data = {**item("aws_dynamodb_table", "t", {"name": "t"}, None), "deposed": "0ab1"}
    assert reviewed(data).verdict is Verdict.IRREVERSIBLE


def test_instances_are_distinguished_and_keys_may_contain_dots() -> None:
    module = 'module.shop["eu.west-1"]'
    entries = [
        {**item("aws_sqs_queue", "jobs", {"name": name}, None), "address": address}
        for name in ("a.com", "b.com")
        for address in [f'{module}.aws_sqs_queue.jobs["{name}"]']
    ]
    result = reviewed(*entries)
    assert {judged.construct.path for judged in result.changes} == {"jobs"}
    for name in ("a.com", "b.com"):
        assert f'jobs["{name}"]' in texts(result)["text"]


@pytest.mark.parametrize("key", ['["a"]', '["it\'s"]', '["a\\\\b"]', "[0]", '["\\"q\\""]'])
def test_suggested_call_for_a_rename_is_valid_python(key: str) -> None:
    entries = [
        {
            **item("aws_sqs_queue", "jobs", {"name": "q"}, None),
            "address": f"aws_sqs_queue.old{key}",
        },
        {**item("aws_sqs_queue", "jobs", None, {"name": "q"}), "address": "aws_sqs_queue.new"},
    ]
    [rename] = reviewed(*entries).renames
    call = ast.parse(rename.program, mode="eval").body
    assert isinstance(call, ast.Call)
    assert ast.literal_eval(call.args[0]) == f"aws_sqs_queue.old{key}"


def test_resource_that_is_replaced_but_kept_on_aws_is_reported_as_superseded() -> None:
    for actions in (["create", "forget"], ["forget", "create"]):
        entry = item(
            "aws_dynamodb_table", "t", {"hash_key": "a"}, {"hash_key": "b"}, actions=actions
        )
        result = reviewed(entry)
        assert (result.verdict, result.summary) == (Verdict.DANGEROUS, "dangerous: 1 superseded")
        assert result.changes[0].reasons[0].rule == "stateful-superseded"


def test_values_that_the_provider_fills_in_are_not_changes_outside_terraform() -> None:
    def drift(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
        queue = item("aws_sqs_queue", "q", dict(before), dict(after), actions=["update"])
        queue["address"] = 'module.m["a.b"].aws_sqs_queue.q[0]'
        resource = {"address": "aws_sqs_queue.q", "expressions": dict.fromkeys(before)}
        module = {"module_calls": {"m": {"module": {"resources": [resource]}}}}
        plan = document(resource_drift=[queue], configuration={"root_module": module})
        return read_plan(plan).drifted

    assert drift({"policy": None, "tags": None}, {"policy": "", "tags": {}}) == ()
    assert drift({"delay_seconds": 5}, {"delay_seconds": 9}) == (
        'module.m["a.b"].aws_sqs_queue.q[0]',
    )


def renames(number: int) -> list[Block]:
    """Returns changes that destroy and create resources whose Terraform names changed."""
    entries = []
    for index in range(number):
        named = {"name": f"q{index}", "delay_seconds": index, "tags": {"a": "b"}}
        unnamed = {"principal": f"p{index}", "action": "a", "source_arn": f"arn:{index}"}
        for type_, values in (("aws_sqs_queue", named), ("aws_x_permission", unnamed)):
            entries.append(item(type_, f"old_{index}", values, None))
            entries.append(item(type_, f"new_{index}", None, values))
    return entries


def test_a_thousand_renames_are_found_within_3_s_and_fit_into_a_comment() -> None:
    plan = document(*renames(500))
    started = time.process_time()
    result = review(read_plan(plan), "dev")
    elapsed = time.process_time() - started
    assert len(result.renames) == 1000
    assert elapsed < 3
    comment = review_markdown(result)
    assert len(comment) < 65_536
    assert comment.count("```") % 2 == 0
    assert "lines about renames and drift are omitted here" in comment


def test_comment_is_never_too_long() -> None:
    drifted = [
        item("aws_sqs_queue", f"queue_number_{index}", {"name": "a"}, {"name": "b"})
        for index in range(2000)
    ]
    changes = [
        {**item("aws_x", "a", {"v": "<" * 500}, {"v": "&" * 500}), "address": f"aws_m{index}.x"}
        for index in range(2000)
    ]
    resources = [{"address": entry["address"], "expressions": {"name": {}}} for entry in drifted]
    result = reviewed(
        *changes,
        resource_drift=drifted,
        configuration={"root_module": {"resources": resources}},
    )
    assert len(review_markdown(result)) < 65_536


def test_output_directory_is_created(tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps(document()))
    target = tmp_path / "new" / "folder" / "review.md"
    arguments = ["review", "dev", "--plan", str(plan), "--root", str(tmp_path / "root")]
    arguments += ["--format", "markdown", "--output"]
    assert CliRunner().invoke(app, [*arguments, str(target)]).exit_code == 0
    assert target.exists()
    result = CliRunner().invoke(app, [*arguments, str(target / "below-a-file")])
    assert "cannot be written" in str(result.exception)


def test_character_that_the_terminals_encoding_lacks_is_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ascii_only = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", ascii_only)
    accept_any_encoding()
    sys.stdout.write("a → b")
    sys.stdout.flush()
    assert ascii_only.buffer.getvalue() == b"a ? b"


def test_loopback_addresses_are_called_without_a_proxy() -> None:
    variables = {"HTTP_PROXY": "http://proxy", "NO_PROXY": "internal"}
    connect_to_loopback_directly(variables)
    assert variables["NO_PROXY"] == "internal,localhost,127.0.0.1,::1"
    assert variables["no_proxy"] == "localhost,127.0.0.1,::1"
    connect_to_loopback_directly(variables)
    assert variables["NO_PROXY"].count("localhost") == 1


def test_secrets_are_masked_even_if_the_plan_does_not_mark_them() -> None:
    """Terraform marks the values that the provider's schema calls sensitive.

    Plans of other tools may lack these marks.
    """
    database = item("aws_db_instance", "d", {"password": "hunter-1"}, {"password": "hunter-2"})
    users = [[{"username": "u", "password": f"hunter-{number}"}] for number in (3, 4)]
    broker = item("aws_mq_broker", "b", {"user": users[0]}, {"user": users[1]})
    result = reviewed(database, broker)
    for text in texts(result).values():
        assert "(sensitive)" in text
        assert "hunter" not in text


def test_new_settings_of_an_existing_resource_are_not_safe() -> None:
    """The settings change a bucket or function that may be in use."""
    bucket = item("aws_s3_bucket", "b", None, {"bucket": "b"})
    function = item("aws_lambda_function", "f", None, {"function_name": "f"})
    blocks = {
        "aws_s3_bucket_versioning": {"bucket": "b"},
        "aws_lambda_function_event_invoke_config": {"function_name": "f"},
    }
    parts = [item(type_, "x", None, values) for type_, values in blocks.items()]
    assert reviewed(bucket, function, *parts).verdict is Verdict.SAFE
    for part in parts:
        assert reviewed(part).verdict is Verdict.REVIEW
