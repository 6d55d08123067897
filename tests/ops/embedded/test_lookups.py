"""Tests that resources whose ids AWS chooses are found by their planned attributes."""

from __future__ import annotations

from typing import Any

from ops.terraform.lookups import LOOKUPS, find_id
from tests.ops.embedded.servers import running_server
from tests.ops.embedded.test_additions import VISIBILITY
from tests.ops.embedded.test_durability import create_table


def test_ids_are_found_by_planned_names() -> None:
    with running_server() as server:
        client = server.client
        api = client("apigateway").create_rest_api(name="api")["id"]
        root = client("apigateway").get_resources(restApiId=api)["items"][0]["id"]
        vpc = client("ec2").create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        role = client("iam").create_role(RoleName="role", AssumeRolePolicyDocument="{}")
        client("lambda").create_function(
            FunctionName="reader",
            Runtime="python3.12",
            Handler="m.handler",
            Role=role["Role"]["Arn"],
            Code={"ZipFile": b"PK\x05\x06" + bytes(18)},
        )
        create_table(server, "items")
        stream = client("dynamodb").describe_table(TableName="items")["Table"]["LatestStreamArn"]
        client("s3").create_bucket(Bucket="files")
        client("ssm").put_parameter(Name="/parameter", Value="1", Type="String")
        policy = {"Name": "headers", "CustomHeadersConfig": {"Quantity": 0, "Items": []}}
        access = {
            "Name": "access",
            "SigningProtocol": "sigv4",
            "SigningBehavior": "always",
            "OriginAccessControlOriginType": "s3",
        }
        cloudfront = client("cloudfront")
        expected: dict[str, tuple[dict[str, Any], str]] = {
            "aws_api_gateway_resource": (
                {"rest_api_id": api, "parent_id": root, "path_part": "posts"},
                client("apigateway").create_resource(
                    restApiId=api, parentId=root, pathPart="posts"
                )["id"],
            ),
            "aws_cloudfront_origin_access_control": (
                {"name": "access"},
                cloudfront.create_origin_access_control(OriginAccessControlConfig=access)[
                    "OriginAccessControl"
                ]["Id"],
            ),
            "aws_cloudfront_response_headers_policy": (
                {"name": "headers"},
                cloudfront.create_response_headers_policy(ResponseHeadersPolicyConfig=policy)[
                    "ResponseHeadersPolicy"
                ]["Id"],
            ),
            "aws_dynamodb_table": ({"name": "items"}, "items"),
            "aws_iam_role": ({"name": "role"}, "role"),
            "aws_lambda_event_source_mapping": (
                {"function_name": "reader", "event_source_arn": stream},
                client("lambda").create_event_source_mapping(
                    FunctionName="reader", EventSourceArn=stream, StartingPosition="LATEST"
                )["UUID"],
            ),
            "aws_s3_bucket": ({"bucket": "files"}, "files"),
            "aws_security_group": (
                {"name": "group", "vpc_id": vpc},
                client("ec2").create_security_group(GroupName="group", Description="-", VpcId=vpc)[
                    "GroupId"
                ],
            ),
            "aws_sqs_queue": (
                {"name": "queue"},
                client("sqs").create_queue(QueueName="queue")["QueueUrl"],
            ),
            "aws_ssm_parameter": ({"name": "/parameter"}, "/parameter"),
            "aws_wafv2_web_acl": (
                {"name": "firewall", "scope": "REGIONAL"},
                client("wafv2").create_web_acl(
                    Name="firewall",
                    Scope="REGIONAL",
                    DefaultAction={"Allow": {}},
                    VisibilityConfig=VISIBILITY,
                )["Summary"]["Id"],
            ),
            "aws_xray_group": (
                {"group_name": "traces"},
                client("xray").create_group(GroupName="traces")["Group"]["GroupARN"],
            ),
        }
        assert expected.keys() == LOOKUPS.keys()
        for kind, (values, id_) in expected.items():
            assert find_id(client, kind, values) == id_, kind
            # X-Ray returns the same error code for a missing group as for any invalid request, so
            # the lookup cannot decide whether the group exists, and returns None.
            absent = None if kind == "aws_xray_group" else ""
            assert find_id(client, kind, dict.fromkeys(values, "absent")) == absent, kind
            assert find_id(client, kind, {}) is None, kind
        assert find_id(client, "aws_vpc", {}) is None
