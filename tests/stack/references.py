"""Replaces the references in a stack's policies with example values in AWS's formats."""

from __future__ import annotations

import re
from collections.abc import Mapping
from string import Formatter

from tests.stack.stacks import Block, Stack

COMPUTED: Mapping[tuple[str, str], str] = {
    ("aws_cloudfront_distribution", "arn"): "arn:aws:cloudfront::{account}:distribution/E2EXAMPLE",
    ("aws_cloudwatch_event_bus", "arn"): "arn:aws:events:{region}:{account}:event-bus/{name}",
    ("aws_cloudwatch_log_group", "arn"): "arn:aws:logs:{region}:{account}:log-group:{name}",
    ("aws_cognito_user_pool", "arn"): (
        "arn:aws:cognito-idp:{region}:{account}:userpool/{region}_a1b2c3d4e"
    ),
    ("aws_dynamodb_table", "arn"): "arn:aws:dynamodb:{region}:{account}:table/{name}",
    ("aws_dynamodb_table", "stream_arn"): (
        "arn:aws:dynamodb:{region}:{account}:table/{name}/stream/2026-01-01T00:00:00.000"
    ),
    ("aws_elasticache_replication_group", "arn"): (
        "arn:aws:elasticache:{region}:{account}:replicationgroup:{replication_group_id}"
    ),
    ("aws_elasticache_user", "arn"): "arn:aws:elasticache:{region}:{account}:user:{user_id}",
    ("aws_kms_key", "arn"): (
        "arn:aws:kms:{region}:{account}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    ),
    ("aws_rds_cluster", "cluster_resource_id"): "cluster-A1B2C3D4E5F6",
    ("aws_rds_cluster", "master_user_secret[0].secret_arn"): (
        "arn:aws:secretsmanager:{region}:{account}:secret:rds!cluster-1234abcd-a1b2c3"
    ),
    ("aws_s3_bucket", "arn"): "arn:aws:s3:::{bucket}",
    ("aws_sns_topic", "arn"): "arn:aws:sns:{region}:{account}:{name}",
    ("aws_sqs_queue", "arn"): "arn:aws:sqs:{region}:{account}:{name}",
}
"""Attributes that policies refer to, in AWS's formats (Service Authorization Reference).

Ids are examples. Fields in braces are the resource's arguments.
"""
_REFERENCE = re.compile(r"\$\{(\w+)\.([\w-]+)\.([\w.\[\]]+)\}")


def resolved(stack: Stack, text: str) -> str:
    """Returns a text whose references are replaced with values.

    Raises:
        AssertionError: a reference's attribute is missing from COMPUTED.
    """

    def value(match: re.Match[str]) -> str:
        type_, label, attribute = match.groups()
        block = stack.resources(type_)[label]
        if attribute in block:
            return resolved(stack, str(block[attribute]))
        if attribute == "id":
            return "a1b2c3d4e5"
        assert (type_, attribute) in COMPUTED, f"add {type_}.{attribute} to COMPUTED"
        return fill_template(stack, COMPUTED[type_, attribute], block)

    return _REFERENCE.sub(value, text)


def fill_template(stack: Stack, template: str, block: Block) -> str:
    """Fills the braces of a template with a resource's arguments, the region and the account."""
    fields = {name for _, name, _, _ in Formatter().parse(template) if name}
    arguments = {name: resolved(stack, block[name]) for name in fields & block.keys()}
    return template.format(**location(stack), **arguments)


def location(stack: Stack) -> dict[str, str]:
    """Returns the stack's region and account."""
    provider = next(item for item in stack.document["provider"]["aws"] if "alias" not in item)
    return {"region": provider["region"], "account": provider["allowed_account_ids"][0]}
