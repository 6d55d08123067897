"""Tests the groups of changes with the same meaning, and the sentences about them."""

from __future__ import annotations

import json

import pytest

from ops.review.alike import Alike, alike_changes, to_decide
from ops.review.document import review_document
from ops.review.markdown import LONGEST_PART, review_markdown
from ops.review.nouns import noun
from ops.review.review import Review, review
from ops.review.rules import Verdict
from ops.review.text import DECISIONS_SHOWN, review_lines
from ops.terraform.plan import read_plan
from tests.ops.review.documents import Block, document, item

LOGS = "aws_cloudwatch_log_group"


def reviewed(*items: Block) -> Review:
    return review(read_plan(document(*items)), "dev")


def retention(label: str, before: int, after: int, **attributes: object) -> Block:
    name = {"name": f"/logs/{label}"}
    return item(
        LOGS,
        label,
        {**name, "retention_in_days": before},
        {**name, "retention_in_days": after, **attributes},
    )


def sentences(*items: Block) -> list[str]:
    return [group.sentence for group in alike_changes(reviewed(*items))]


def test_the_same_change_of_several_resources_is_one_group() -> None:
    assert sentences(*(retention(f"logs-{number}", 14, 7) for number in range(16))) == [
        "16 CloudWatch log groups keep 7 days instead of 14"
    ]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(retention("b", 30, 7), id="another old value"),
        pytest.param(retention("b", 14, 5), id="another new value"),
        pytest.param(retention("b", 14, 7, skip_destroy=True), id="one more attribute"),
        pytest.param(item(LOGS, "b", None, {"retention_in_days": 7}), id="another action"),
        pytest.param(
            item("aws_x", "b", {"retention_in_days": 14}, {"retention_in_days": 7}),
            id="another type",
        ),
        pytest.param({**retention("b", 14, 7), "deposed": "1"}, id="a deposed object"),
        pytest.param(
            item(
                LOGS,
                "b",
                {"retention_in_days": 14},
                {"retention_in_days": 7},
                after_unknown={"kms_key_id": True},
            ),
            id="a value known only after the apply",
        ),
        pytest.param(
            item(LOGS, "b", {"retention_in_days": 14}, {"retention_in_days": 7}, importing={}),
            id="an import",
        ),
    ],
)
def test_a_different_change_forms_another_group(other: Block) -> None:
    groups = alike_changes(reviewed(retention("a", 14, 7), other))
    assert [len(group.changes) for group in groups] == [1, 1]


def test_equal_looking_values_of_different_types_form_different_groups() -> None:
    labels = {"a": 1, "b": True, "c": "1"}
    changes = (item("aws_x", label, {"v": None}, {"v": new}) for label, new in labels.items())
    assert len(alike_changes(reviewed(*changes))) == 3


def test_the_common_part_of_differing_reasons_appears_once() -> None:
    def policy(name: str) -> str:
        statement = {"Effect": "Allow", "Action": "s3:*", "Resource": f"arn:aws:s3:::{name}"}
        return json.dumps({"Version": "2012-10-17", "Statement": [statement]})

    result = reviewed(
        *(item("aws_iam_role_policy", name, None, {"policy": policy(name)}) for name in "ab")
    )
    [group] = alike_changes(result)
    assert group.sentence == "2 IAM role policies are created"
    assert "allows actions or resources by wildcard (different for each)" in group.why
    for change, name in zip(group.changes, "ab", strict=True):
        assert f"arn:aws:s3:::{name}" in group.why_of(change)
    [single] = alike_changes(reviewed(retention("a", 14, 7)))
    assert single.why_of(single.changes[0]) == "", "a shared reason must not be repeated"


def test_different_secrets_are_different_values() -> None:
    marks = {"before_sensitive": {"v": True}, "after_sensitive": {"v": True}}
    changes = (item("aws_x", name, {"v": "old"}, {"v": name}, **marks) for name in ("a", "b"))
    groups = alike_changes(reviewed(*changes))
    assert len(groups) == 2
    assert "old" not in " ".join(group.sentence for group in groups)


def test_safe_changes_are_one_group_although_their_values_differ() -> None:
    changes = (
        item("aws_sqs_queue", name, {"tags": {"Team": name}}, {"tags": {"Team": f"{name}2"}})
        for name in ("a", "b")
    )
    [group] = alike_changes(reviewed(*changes))
    assert group.verdict is Verdict.SAFE
    assert group.sentence == "2 SQS queues change tags.Team"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        pytest.param(
            retention("a", 14, 0),
            "CloudWatch log group a changes retention_in_days from 14 to 0",
            id="0 days means no expiry",
        ),
        pytest.param(
            item("aws_sqs_queue", "a", {"name": "x", "url": "y"}, None),
            "SQS queue a is destroyed",
            id="a destroyed resource",
        ),
        pytest.param(
            item(
                "aws_kms_key",
                "a",
                {"spec": "x"},
                {"spec": "y"},
                actions=["delete", "create"],
                replace_paths=[["spec"]],
            ),
            "KMS key a is replaced because of spec",
            id="a replaced resource",
        ),
        pytest.param(
            item(
                "aws_x",
                "a",
                {"a": 1, "b": "s" * 50, "c": None, "d": 1, "e": 1},
                {"a": 2, "b": "t" * 50, "c": 3, "d": 2, "e": 2},
            ),
            "x a changes a from 1 to 2, b, c from (none) to 3 and 2 more attributes",
            id="many attributes and a long value",
        ),
    ],
)
def test_a_sentence_states_what_happens_to_the_resources(change: Block, sentence: str) -> None:
    assert sentences(change) == [sentence]


@pytest.mark.parametrize(
    ("type_", "plural"),
    [
        ("aws_iam_role_policy", "IAM role policies"),
        ("aws_cloudwatch_event_bus", "CloudWatch event buses"),
        ("aws_api_gateway_base_path_mapping", "API Gateway base path mappings"),
        ("aws_s3_bucket_versioning", "S3 bucket versioning resources"),
        ("aws_nat_gateway", "NAT gateways"),
        ("google_compute_address", "google compute addresses"),
    ],
)
def test_types_are_named_in_plain_english(type_: str, plural: str) -> None:
    assert noun(type_, 2) == plural


def grave_and_safe() -> Review:
    return reviewed(
        item("aws_kms_alias", "tagged", {"tags": {"a": "1"}}, {"tags": {"a": "2"}}),
        item("aws_sqs_queue", "gone", {"name": "gone"}, None),
        retention("a", 14, 7),
        retention("b", 14, 7),
    )


def test_only_groups_with_the_most_severe_verdicts_need_a_decision() -> None:
    groups = alike_changes(grave_and_safe())
    assert [(len(group.changes), group.verdict) for group in groups] == [
        (2, Verdict.IRREVERSIBLE),
        (1, Verdict.IRREVERSIBLE),
        (1, Verdict.SAFE),
    ]
    assert to_decide(groups) == groups[:2]
    milder = (Alike(groups[2].changes),)
    assert to_decide(milder) == ()


def test_every_format_shows_the_same_groups_above_the_changes() -> None:
    result = grave_and_safe()
    sentence = "2 CloudWatch log groups keep 7 days instead of 14"
    text = "\n".join(line.plain for line in review_lines(result))
    assert text.index(sentence) < text.index("aws_cloudwatch_log_group")
    comment = review_markdown(result)
    assert comment.index(sentence) < comment.index("| module |")
    assert review_document(result)["alike"][0] == {
        "verdict": "irreversible",
        "sentence": sentence,
        "why": "retention is 7 days instead of 14: older data is deleted",
        "addresses": [f"{LOGS}.a", f"{LOGS}.b"],
    }


def test_groups_are_omitted_if_there_are_too_many_for_the_output() -> None:
    result = reviewed(*(retention(f"logs-{number}", 1000, 999 - number) for number in range(300)))
    comment = review_markdown(result)
    assert len(comment) < 65_536
    assert "more groups of changes are omitted here: see the full report." in comment
    assert "| module |" in comment
    assert comment.index("| module |") < 2 * LONGEST_PART
    assert comment.count("<details") == comment.count("</details>")
    lines = [line.plain for line in review_lines(result)]
    assert f"  and {300 - DECISIONS_SHOWN} more groups of changes" in lines


def test_markdown_and_html_in_values_are_escaped_in_sentences() -> None:
    [group] = alike_changes(reviewed(item("aws_x", "a", {"v": "*b*"}, {"v": "<b>\n\n# c"})))
    assert "<b>" in group.sentence
    comment = review_markdown(reviewed(item("aws_x", "a", {"v": "*b*"}, {"v": "<b>\n\n# c"})))
    assert "<b>x a changes v from *b* to &lt;b&gt; # c</b>" in comment
