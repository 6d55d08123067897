"""Tests the verdicts on changes of the real stack that Terraform plans from an applied state."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from bench.cloud import start_cloud
from ops.cost.usage import load_usage
from ops.local.platform import stop_platform
from ops.review.checkov import with_checkov
from ops.review.document import review_document
from ops.review.markdown import review_markdown
from ops.review.report.html import review_html
from ops.review.review import Review, ReviewedChange, review
from ops.review.rules import Verdict
from ops.review.text import review_lines
from ops.root import Root
from ops.terraform.plan import Action, read_plan
from ops.terraform.stack_document import Synthesized, read_synthesized
from ops.terraform.synthesis import synthesize
from tests.ops.review.small import Block, apply, extract, find_only, list_labels, plan_change, write

SECRET = "do-not-show-this"
TABLE = "database/ai-usage"
Change = Callable[[Block], Block | None]


def base(document: Block) -> Block:
    """Protects the data as in production and adds a parameter with a secret value."""
    table = find_only(document, "aws_dynamodb_table", TABLE)
    table["point_in_time_recovery"] = {"enabled": True}
    table["deletion_protection_enabled"] = True
    secret = {
        "name": "/multitask/dev/test",
        "type": "SecureString",
        "value": SECRET,
        "tags": {"Service": "auth"},
    }
    document["resource"]["aws_ssm_parameter"] = {"secret": secret}
    return document


def tag_only(document: Block) -> None:
    find_only(document, "aws_dynamodb_table", TABLE)["tags"]["Team"] = "platform"


def rename_table_in_program(document: Block) -> Block:
    [label] = list_labels(document, "aws_dynamodb_table", TABLE)
    renamed: Block = json.loads(
        json.dumps(document).replace(label, "database_ai-quotas_table_0123ABCD")
    )
    return renamed


def move_table_in_program(document: Block) -> Block:
    [label] = list_labels(document, "aws_dynamodb_table", TABLE)
    renamed = rename_table_in_program(document)
    move = {
        "from": f"aws_dynamodb_table.{label}",
        "to": "aws_dynamodb_table.database_ai-quotas_table_0123ABCD",
    }
    return {**renamed, "moved": [move]}


def rename_table(document: Block) -> None:
    find_only(document, "aws_dynamodb_table", TABLE)["name"] = "ai-quotas-dev"


def unprotect(document: Block) -> None:
    """Makes unsafe changes of protection, access, retention and a secret."""
    table = find_only(document, "aws_dynamodb_table", TABLE)
    table["point_in_time_recovery"] = {"enabled": False}
    table["deletion_protection_enabled"] = False
    rule = next(iter(document["resource"]["aws_vpc_security_group_ingress_rule"].values()))
    rule.pop("referenced_security_group_id")
    rule["cidr_ipv4"] = "0.0.0.0/0"
    find_only(document, "aws_cloudwatch_log_group", "ai/function")["retention_in_days"] = 3
    document["resource"]["aws_ssm_parameter"]["secret"]["value"] = f"{SECRET}-either"


def open_bucket(document: Block) -> None:
    access = find_only(document, "aws_s3_bucket_public_access_block", "storage/backups")
    access.update(block_public_policy=False, restrict_public_buckets=False)
    bucket = find_only(document, "aws_s3_bucket_policy", "storage/backups")
    policy = json.loads(bucket["policy"])
    [resource, *_] = policy["Statement"][0]["Resource"]
    policy["Statement"].append(
        {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"{resource}/*"}
    )
    bucket["policy"] = json.dumps(policy)


def _allow(document: Block, **statement: object) -> None:
    role = find_only(document, "aws_iam_role_policy", "ai/")
    policy = json.loads(role["policy"])
    policy["Statement"].append({"Effect": "Allow", **statement})
    role["policy"] = json.dumps(policy)


def widen_role(document: Block) -> None:
    _allow(document, Action=["dynamodb:*", "iam:PassRole"], Resource="*")


def allow_scan(document: Block) -> None:
    [label] = list_labels(document, "aws_dynamodb_table", TABLE)
    _allow(document, Action="dynamodb:Scan", Resource=f"${{aws_dynamodb_table.{label}.arn}}")


def allow_new_queue(document: Block) -> None:
    document["resource"]["aws_sqs_queue"] = {
        "ai_queue_01234567": {"name": "ai-queue-dev", "tags": {"Service": "ai"}}
    }
    _allow(document, Action="sqs:SendMessage", Resource="${aws_sqs_queue.ai_queue_01234567.arn}")


def remove_alarm(document: Block) -> None:
    document["resource"]["aws_cloudwatch_metric_alarm"].pop(
        list_labels(document, "aws_cloudwatch_metric_alarm", "ai/")[0]
    )


def replace_cognito(document: Block) -> None:
    find_only(document, "aws_cognito_user_pool", "security/user-pool")["username_attributes"] = [
        "email",
        "phone_number",
    ]


def shrink_aurora(document: Block) -> None:
    cluster = find_only(document, "aws_rds_cluster", "database/aurora")
    cluster["serverlessv2_scaling_configuration"]["max_capacity"] = 2
    cluster["backup_retention_period"] = 1


TOGETHER: tuple[Change, ...] = (unprotect, open_bucket, widen_role, remove_alarm, replace_cognito)
"""Changes of different resources. A single plan contains all of them."""


def combined(document: Block) -> None:
    for change in TOGETHER:
        change(document)


def allow_scan_and_new_queue(document: Block) -> None:
    allow_scan(document)
    allow_new_queue(document)


FAST_CHANGES: tuple[Change, ...] = (
    *(tag_only, combined, rename_table_in_program, move_table_in_program),
    *(rename_table, allow_scan_and_new_queue),
)
AURORA_CHANGES: tuple[Change, ...] = (shrink_aurora,)
SELECTED = (
    ("aws_dynamodb_table", TABLE),
    ("aws_s3_bucket_public_access_block", "storage/backups"),
    ("aws_s3_bucket_policy", "storage/backups"),
    ("aws_iam_role_policy", "ai/"),
    ("aws_cloudwatch_metric_alarm", "ai/"),
    ("aws_cloudwatch_log_group", "ai/function"),
    ("aws_cognito_user_pool_client", "security"),
    ("aws_vpc_security_group_ingress_rule", "networking/database"),
)


@dataclasses.dataclass(frozen=True)
class Plans:
    """The plans of all changes, which Terraform creates concurrently."""

    futures: dict[str, Future[tuple[Path, Block]]]

    def document(self, change: Change) -> Block:
        return self.futures[change.__name__].result()[1]

    def stack(self, change: Change) -> Synthesized:
        return dataclasses.replace(
            read_synthesized(self.futures[change.__name__].result()[0]), environment="dev"
        )

    def review(self, change: Change) -> Review:
        return review(
            read_plan(self.document(change)), "dev", self.stack(change), usage=load_usage("1m")
        )


@pytest.fixture(scope="module")
def plans() -> Iterator[Plans]:
    # PostgreSQL's system user cannot read pytest's temporary directory.
    with (
        tempfile.TemporaryDirectory(prefix="multitask-") as directory,
        ThreadPoolExecutor(8) as workers,
    ):
        root = Root(Path(directory) / "root")
        root.prepare()
        cloud = start_cloud(root, "dev")
        try:
            variables = cloud.variables
            synthesize(["dev"], root.cdktf_out, variables)
            stack = root.cdktf_out / "stacks" / "dev"
            aurora = extract(stack, [("aws_rds_cluster", "database/aurora")])
            cluster = find_only(aurora, "aws_rds_cluster", "database/aurora")
            cluster["serverlessv2_scaling_configuration"] = {"min_capacity": 1, "max_capacity": 4}
            cluster["backup_retention_period"] = 7
            # Applying Aurora takes long. A worker applies it while this thread applies the other
            # resources and starts to plan their changes.
            small_directory = write(base(extract(stack, SELECTED)), Path(directory) / "small")
            aurora_directory = write(aurora, Path(directory) / "aurora")
            applying_aurora = workers.submit(apply, aurora_directory, root, variables)
            apply(small_directory, root, variables)

            def plan(
                applied: Path, change: Change, after: Future[None] | None = None
            ) -> tuple[Path, Block]:
                if after:
                    after.result()
                return plan_change(applied, change, root, variables)

            with ThreadPoolExecutor(3) as planners:
                futures = {
                    change.__name__: planners.submit(plan, small_directory, change)
                    for change in FAST_CHANGES
                }
                futures |= {
                    change.__name__: planners.submit(
                        plan, aurora_directory, change, applying_aurora
                    )
                    for change in AURORA_CHANGES
                }
                yield Plans(futures)
                planners.shutdown(cancel_futures=True)
        finally:
            stop_platform(root, purge=True)


def worst_verdict(reviewed: Review, type_: str) -> Verdict:
    return max(item.verdict for item in reviewed.changes if item.change.type == type_)


def only(reviewed: Review) -> ReviewedChange:
    [item] = reviewed.changes
    return item


def rules(item: ReviewedChange) -> set[str]:
    return {reason.rule for reason in item.reasons}


def test_tag_change_is_safe(plans: Plans) -> None:
    item = only(plans.review(tag_only))
    assert (item.change.action, item.verdict) == (Action.UPDATE, Verdict.SAFE)
    assert [difference.path for difference in item.change.differences] == ["tags.Team"]
    assert (item.construct.module, item.construct.service) == ("database", "ai")


def test_renamed_construct_is_recognized(plans: Plans) -> None:
    reviewed = plans.review(rename_table_in_program)
    [rename] = reviewed.renames
    assert rename.after == "aws_dynamodb_table.database_ai-quotas_table_0123ABCD"
    assert rename.before.startswith("aws_dynamodb_table.database_ai-usage_table_")
    assert rename.moved_block.splitlines()[1:3] == [
        f"  from = {rename.before}",
        f"  to   = {rename.after}",
    ]
    # The stack does not contain the suggested moved block, so the plan destroys the table.
    assert worst_verdict(reviewed, "aws_dynamodb_table") is Verdict.IRREVERSIBLE
    assert rename.moved_block in review_markdown(reviewed)


def test_moved_block_keeps_the_resource(plans: Plans) -> None:
    reviewed = plans.review(move_table_in_program)
    item = only(reviewed)
    assert (item.change.action, item.verdict) == (Action.MOVE, Verdict.SAFE)
    assert item.change.moved_from == plans.review(rename_table_in_program).renames[0].before


def test_new_table_name_replaces_the_table(plans: Plans) -> None:
    reviewed = plans.review(rename_table)
    [item] = [item for item in reviewed.changes if item.change.type == "aws_dynamodb_table"]
    assert (item.change.action, item.verdict) == (Action.REPLACE, Verdict.IRREVERSIBLE)
    assert item.change.forced_by == ("name",)
    assert "arn" in item.change.unknown
    assert reviewed.renames == ()


def of_type(reviewed: Review, type_: str) -> ReviewedChange:
    [item] = [item for item in reviewed.changes if item.change.type == type_]
    return item


def test_disabled_protection_is_dangerous(plans: Plans) -> None:
    item = of_type(plans.review(combined), "aws_dynamodb_table")
    assert item.verdict is Verdict.DANGEROUS
    assert rules(item) == {"deletion-protection", "point-in-time-recovery"}


def test_port_open_to_the_internet_is_dangerous(plans: Plans) -> None:
    item = of_type(plans.review(combined), "aws_vpc_security_group_ingress_rule")
    assert item.verdict is Verdict.DANGEROUS
    assert "open-to-the-internet" in rules(item)


def test_shorter_retention_is_irreversible(plans: Plans) -> None:
    item = of_type(plans.review(combined), "aws_cloudwatch_log_group")
    assert item.verdict is Verdict.IRREVERSIBLE
    assert item.reasons[0].text == "retention is 3 days instead of 7: older data is deleted"


def test_public_bucket_is_dangerous(plans: Plans) -> None:
    reviewed = plans.review(combined)
    assert worst_verdict(reviewed, "aws_s3_bucket_public_access_block") is Verdict.DANGEROUS
    [policy] = [item for item in reviewed.changes if item.change.type == "aws_s3_bucket_policy"]
    assert policy.verdict is Verdict.DANGEROUS
    assert any("public: s3:GetObject" in reason.text for reason in policy.reasons)


def test_checkov_adds_only_new_findings(plans: Plans) -> None:
    without_checkov = plans.review(combined)
    with_findings = with_checkov(without_checkov, plans.document(combined))
    before = {item.change.address: set(item.reasons) for item in without_checkov.changes}
    added = {
        (item.change.type, reason.rule)
        for item in with_findings.changes
        for reason in set(item.reasons) - before[item.change.address]
    }
    assert added >= {
        ("aws_s3_bucket_policy", "CKV_AWS_70"),
        ("aws_s3_bucket_public_access_block", "CKV_AWS_54"),
        ("aws_s3_bucket_public_access_block", "CKV_AWS_56"),
    }
    assert with_findings.verdict is without_checkov.verdict


def test_wider_role_is_dangerous(plans: Plans) -> None:
    item = of_type(plans.review(combined), "aws_iam_role_policy")
    assert item.verdict is Verdict.DANGEROUS
    assert {"policy-wider", "policy-wildcard", "policy-permissions"} <= rules(item)


def test_permissions_on_a_new_resource_name_its_reference_instead_of_its_arn(plans: Plans) -> None:
    reviewed = plans.review(allow_scan_and_new_queue)
    role = of_type(reviewed, "aws_iam_role_policy")
    assert role.verdict is Verdict.REVIEW
    assert role.change.unknown == ("policy",)
    [policy] = role.policies
    table, queue = sorted(str(grant) for grant in policy.wider)
    assert table.startswith("dynamodb:Scan on arn:aws:dynamodb:")
    assert table.endswith(":table/ai-usage-dev")
    assert queue == "sqs:SendMessage on (aws_sqs_queue.ai_queue_01234567.arn, known after apply)"
    assert policy.narrower == ()
    assert "known after apply: policy" in review_markdown(reviewed)


def test_removed_alarm_is_dangerous(plans: Plans) -> None:
    reviewed = plans.review(combined)
    item = of_type(reviewed, "aws_cloudwatch_metric_alarm")
    assert (item.change.action, item.verdict) == (Action.DESTROY, Verdict.DANGEROUS)
    assert reviewed.cost
    assert reviewed.cost.resources[item.change.address] == pytest.approx((0.10, 0))


def test_replaced_user_pool_is_irreversible(plans: Plans) -> None:
    reviewed = plans.review(combined)
    [pool] = [item for item in reviewed.changes if item.change.type == "aws_cognito_user_pool"]
    assert (pool.change.action, pool.verdict) == (Action.REPLACE, Verdict.IRREVERSIBLE)
    assert pool.change.forced_by == ("username_attributes",)
    assert worst_verdict(reviewed, "aws_cognito_user_pool_client") is Verdict.DANGEROUS


def test_smaller_aurora_is_dangerous_and_fewer_backups_irreversible(plans: Plans) -> None:
    item = only(plans.review(shrink_aurora))
    assert {(reason.verdict, reason.text) for reason in item.reasons} == {
        (
            Verdict.DANGEROUS,
            "Aurora scales to at most 2 ACU instead of 4 and accepts fewer connections",
        ),
        (
            Verdict.IRREVERSIBLE,
            "backup_retention_period is 1 instead of 7: older data is deleted",
        ),
    }


def test_sensitive_values_appear_in_no_output_format(plans: Plans) -> None:
    assert SECRET in json.dumps(plans.document(combined)), "the plan does not contain the secret"
    reviewed = plans.review(combined)
    [difference] = of_type(reviewed, "aws_ssm_parameter").change.differences
    assert difference.path == "value"
    texts = [
        review_markdown(reviewed),
        json.dumps(review_document(reviewed)),
        "\n".join(line.plain for line in review_lines(reviewed)),
        review_html(reviewed, plans.stack(combined)),
        repr(reviewed),
    ]
    for text in texts:
        assert SECRET not in text
        assert "(sensitive)" in text
