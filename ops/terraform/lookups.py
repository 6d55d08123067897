"""Finds resources whose ids a killed apply could not log."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from botocore.exceptions import ClientError

Client = Callable[[str], Any]
"""A function that returns the boto3 client of a service."""
Values = Mapping[str, Any]
"""The planned attributes of a resource."""
ABSENT = re.compile(r"NotFound|NoSuch|NonExistent|DoesNotExist|^404$")
"""Matches AWS's error codes for a resource that does not exist."""


def find_id(client: Client, kind: str, values: Values) -> str | None:
    """Returns the id of the resource that has the planned name.

    Returns "" if the resource does not exist, and None if that is unknown.
    """
    lookup = LOOKUPS.get(kind)
    if lookup is None:
        return None
    try:
        return lookup(client, values) or ""
    except ClientError as error:
        if ABSENT.search(error.response["Error"]["Code"]):
            return ""
        return None
    except KeyError:
        # `values` lacks an attribute that the lookup needs: its value is unknown before the apply.
        return None


def _bucket(client: Client, values: Values) -> str:
    client("s3").head_bucket(Bucket=values["bucket"])
    return str(values["bucket"])


def _parameter(client: Client, values: Values) -> str:
    return str(client("ssm").get_parameter(Name=values["name"])["Parameter"]["Name"])


def _role(client: Client, values: Values) -> str:
    return str(client("iam").get_role(RoleName=values["name"])["Role"]["RoleName"])


def _table(client: Client, values: Values) -> str:
    return str(client("dynamodb").describe_table(TableName=values["name"])["Table"]["TableName"])


def _queue(client: Client, values: Values) -> str:
    return str(client("sqs").get_queue_url(QueueName=values["name"])["QueueUrl"])


def _trace_group(client: Client, values: Values) -> str:
    return str(client("xray").get_group(GroupName=values["group_name"])["Group"]["GroupARN"])


def _headers_policy(client: Client, values: Values) -> str | None:
    policies = client("cloudfront").list_response_headers_policies(Type="custom")
    return _first(
        item["ResponseHeadersPolicy"]["Id"]
        for item in policies["ResponseHeadersPolicyList"].get("Items", ())
        if item["ResponseHeadersPolicy"]["ResponseHeadersPolicyConfig"]["Name"] == values["name"]
    )


def _origin_access(client: Client, values: Values) -> str | None:
    controls = client("cloudfront").list_origin_access_controls()["OriginAccessControlList"]
    return _first(
        item["Id"] for item in controls.get("Items", ()) if item["Name"] == values["name"]
    )


def _web_acl(client: Client, values: Values) -> str | None:
    acls = client("wafv2").list_web_acls(Scope=values["scope"])["WebACLs"]
    return _first(acl["Id"] for acl in acls if acl["Name"] == values["name"])


def _security_group(client: Client, values: Values) -> str | None:
    filters = [
        {"Name": "group-name", "Values": [values["name"]]},
        {"Name": "vpc-id", "Values": [values["vpc_id"]]},
    ]
    groups = client("ec2").describe_security_groups(Filters=filters)["SecurityGroups"]
    return _first(group["GroupId"] for group in groups)


def _api_resource(client: Client, values: Values) -> str | None:
    resources = client("apigateway").get_resources(restApiId=values["rest_api_id"], limit=500)
    parent_and_part = values["parent_id"], values["path_part"]
    return _first(
        item["id"]
        for item in resources["items"]
        if (item.get("parentId"), item.get("pathPart")) == parent_and_part
    )


def _event_source(client: Client, values: Values) -> str | None:
    mappings = client("lambda").list_event_source_mappings(
        FunctionName=values["function_name"], EventSourceArn=values["event_source_arn"]
    )
    return _first(mapping["UUID"] for mapping in mappings["EventSourceMappings"])


def _first(ids: Iterable[str]) -> str | None:
    return next(iter(ids), None)


LOOKUPS: dict[str, Callable[[Client, Values], str | None]] = {
    "aws_api_gateway_resource": _api_resource,
    "aws_cloudfront_origin_access_control": _origin_access,
    "aws_cloudfront_response_headers_policy": _headers_policy,
    "aws_dynamodb_table": _table,
    "aws_iam_role": _role,
    "aws_lambda_event_source_mapping": _event_source,
    "aws_s3_bucket": _bucket,
    "aws_security_group": _security_group,
    "aws_sqs_queue": _queue,
    "aws_ssm_parameter": _parameter,
    "aws_wafv2_web_acl": _web_acl,
    "aws_xray_group": _trace_group,
}
"""Lookup functions for resource types that have a unique name but a random id, and for the types
with the most important data. An apply cannot create these resources again, because AWS refuses a
second resource with the same name."""
