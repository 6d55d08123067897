"""Imports resources that a killed apply created but could not record in the state."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from ops.root import write_json
from ops.terraform.runner import Terraform

FILE = "adopted.tf.json"
"""File with the import blocks, in the directory of the stack."""
IMPORT_IDS = {
    "aws_api_gateway_authorizer": "{rest_api_id}/{id}",
    "aws_api_gateway_method": "{rest_api_id}/{resource_id}/{http_method}",
    "aws_api_gateway_resource": "{rest_api_id}/{id}",
    "aws_api_gateway_stage": "{rest_api_id}/{stage_name}",
    "aws_apigatewayv2_authorizer": "{api_id}/{id}",
    "aws_apigatewayv2_integration": "{api_id}/{id}",
    "aws_apigatewayv2_route": "{api_id}/{id}",
    "aws_apigatewayv2_stage": "{api_id}/{name}",
    "aws_cloudfront_function": "{name}",
    "aws_cloudwatch_event_archive": "{name}",
    "aws_cloudwatch_event_bus": "{name}",
    "aws_cloudwatch_event_rule": "{event_bus_name}/{name}",
    "aws_cloudwatch_log_group": "{name}",
    "aws_cognito_user_group": "{user_pool_id}/{name}",
    "aws_cognito_user_pool_client": "{user_pool_id}/{id}",
    "aws_db_subnet_group": "{name}",
    "aws_dynamodb_table": "{name}",
    "aws_elasticache_replication_group": "{replication_group_id}",
    "aws_elasticache_subnet_group": "{name}",
    "aws_iam_role": "{name}",
    "aws_kms_alias": "{name}",
    "aws_lambda_alias": "{function_name}/{name}",
    "aws_lambda_function": "{function_name}",
    "aws_lambda_permission": "{function_name}:{qualifier}/{statement_id}",
    "aws_rds_cluster": "{cluster_identifier}",
    "aws_rds_cluster_instance": "{identifier}",
    "aws_rds_cluster_parameter_group": "{name}",
    "aws_s3_bucket": "{bucket}",
    "aws_scheduler_schedule": "{group_name}/{name}",
    "aws_sqs_queue": "{url}",
}
"""Templates of import ids, by resource type. `{name}` is a planned attribute of the resource, and
`{id}` the id in the log of the apply that created it.

Resources of other types are imported by the id in the log. The section "Import" in the provider's
documentation of a resource describes the format."""


def created_ids(log: Path) -> dict[str, str]:
    """Returns the ids of the resources that an apply created, from its JSON log."""
    return dict(_created(log)) if log.exists() else {}


def _created(log: Path) -> Iterator[tuple[str, str]]:
    for line in log.read_text(errors="replace").splitlines():
        try:
            message = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(message, dict) and message.get("type") == "apply_complete":
            hook = message["hook"]
            if hook["action"] == "create" and hook.get("id_value"):
                yield hook["resource"]["addr"], hook["id_value"]


def adopt(stack: Terraform, existing: Collection[str], created: Mapping[str, str]) -> list[str]:
    """Writes import blocks, with which the next apply adds existing resources to the state.

    Args:
        stack: The initialized stack.
        existing: Addresses of resources that the last apply could not create because they exist.
        created: Ids by address, from `created_ids`.

    Returns:
        The addresses that the next apply adopts, without those of earlier calls. Resources whose
        import id is unknown are missing.
    """
    earlier = _imports(stack.directory)
    with stack.temporary_plan("adoption", ("-refresh=false",)) as plan:
        document = stack.show(plan.file)
    imports = dict(earlier)
    for change in document["resource_changes"]:
        address = change["address"]
        if address in existing and address not in earlier:
            id_ = import_id(change["type"], change["change"]["after"] or {}, created.get(address))
            if id_:
                imports[address] = id_
    if imports != earlier:
        blocks = [{"to": address, "id": id_} for address, id_ in imports.items()]
        write_json(stack.directory / FILE, {"import": blocks})
    return sorted(imports.keys() - earlier.keys())


def end_adoption(directory: Path) -> None:
    """Deletes the import blocks. Call it after the apply that used them."""
    (directory / FILE).unlink(missing_ok=True)


def import_id(kind: str, values: Mapping[str, Any], logged: str | None) -> str | None:
    """Returns the id for importing a resource, or None if it is unknown."""
    template = IMPORT_IDS.get(kind)
    if template is None:
        return logged
    known = {name: value for name, value in values.items() if isinstance(value, str) and value}
    if logged:
        known["id"] = logged
    try:
        return template.format_map(known)
    except KeyError:
        return None


def _imports(directory: Path) -> dict[str, str]:
    file = directory / FILE
    if not file.exists():
        return {}
    return {block["to"]: block["id"] for block in json.loads(file.read_text())["import"]}
