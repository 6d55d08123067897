"""Tests that the resources in Terraform's outputs exist."""

from __future__ import annotations

from tests.e2e.support.platform import Platform


def test_functions_roles_and_log_groups_exist(platform: Platform) -> None:
    outputs = platform.outputs
    functions, iam = platform.aws("lambda"), platform.aws("iam")
    groups = {
        group["logGroupName"]
        for page in platform.aws("logs").get_paginator("describe_log_groups").paginate()
        for group in page["logGroups"]
    }
    assert set(outputs["functions"]) == set(outputs["roles"]) == set(outputs["log_groups"])
    for function, name in outputs["functions"].items():
        configuration = functions.get_function_configuration(FunctionName=name)
        assert configuration["FunctionArn"] == outputs["arns"]["functions"][function]
        assert (
            configuration["Role"]
            == iam.get_role(RoleName=outputs["roles"][function])["Role"]["Arn"]
        )
    assert set(outputs["log_groups"].values()) <= groups


def test_tables_queues_and_parameters_exist(platform: Platform) -> None:
    outputs = platform.outputs
    dynamodb, sqs, ssm = platform.aws("dynamodb"), platform.aws("sqs"), platform.aws("ssm")
    for table, name in outputs["tables"].items():
        assert (
            dynamodb.describe_table(TableName=name)["Table"]["TableArn"]
            == outputs["arns"]["tables"][table]
        )
    for queue, name in outputs["queues"].items():
        url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"][
            "QueueArn"
        ]
        assert arn == outputs["arns"]["queues"][queue]
    for name in outputs["parameters"].values():
        assert ssm.get_parameter(Name=name)["Parameter"]["Type"] == "SecureString"


def test_the_user_pool_key_and_web_acl_exist(platform: Platform) -> None:
    arns = platform.outputs["arns"]
    pool = platform.aws("cognito-idp").describe_user_pool(
        UserPoolId=platform.outputs["cognito_user_pool_id"]
    )
    assert pool["UserPool"]["Arn"] == arns["user_pool"]
    key = platform.aws("kms").describe_key(
        KeyId=f"alias/multitask-{platform.cloud.environment.name}"
    )
    assert key["KeyMetadata"]["Arn"] == arns["key"]
    firewalls = platform.aws("wafv2").list_web_acls(Scope="REGIONAL")["WebACLs"]
    assert arns["web_acl"] in {firewall["ARN"] for firewall in firewalls}
