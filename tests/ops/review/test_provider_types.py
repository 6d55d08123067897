"""The generated knowledge about the provider's types and AWS's managed policies is current."""

from __future__ import annotations

import json

from moto.iam.aws_managed_policies import aws_managed_policies_data

from ops.review.attachments import PERMISSIONS, SERVICES, managed_policies
from ops.review.provider_types import computed_attributes, provider_version
from ops.terraform.toolchain import PROVIDER_MAJOR
from tools.provider_types import policies_document, types_document


def test_files_are_current() -> None:
    assert provider_version().split(".")[0] == str(PROVIDER_MAJOR)
    known = managed_policies()
    assert (
        known["policies"].keys() | known["others"] == json.loads(aws_managed_policies_data).keys()
    ), "renew the files with `python -m tools.provider_types`"


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


def test_managed_policies_are_sorted_by_what_they_allow() -> None:
    def policy(action: str) -> dict[str, object]:
        statement = {"Effect": "Allow", "Action": action, "Resource": "*"}
        return {"Document": {"Version": "2012-10-17", "Statement": [statement]}}

    policies = {"A": policy("iam:*"), "B": policy("polly:*"), "C": policy("s3:GetObject")}
    assert policies_document(policies) == {
        "policies": {"A": PERMISSIONS, "B": SERVICES},
        "others": ["C"],
    }
