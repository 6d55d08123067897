"""Prepares the import of resources that a killed apply created but did not record in the state."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from ops.root import write_json
from ops.terraform.runner import Terraform, TerraformError

IMPORTS_FILE = "adopted.tf.json"
"""File with the import blocks, in the directory of the stack."""
IMPORT_IDS = {
    "aws_api_gateway_authorizer": "{rest_api_id}/{id}",
    "aws_api_gateway_deployment": "{rest_api_id}/{id}",
    "aws_api_gateway_gateway_response": "{rest_api_id}/{response_type}",
    "aws_api_gateway_integration": "{rest_api_id}/{resource_id}/{http_method}",
    "aws_api_gateway_integration_response": (
        "{rest_api_id}/{resource_id}/{http_method}/{status_code}"
    ),
    "aws_api_gateway_method": "{rest_api_id}/{resource_id}/{http_method}",
    "aws_api_gateway_method_response": "{rest_api_id}/{resource_id}/{http_method}/{status_code}",
    "aws_api_gateway_method_settings": "{rest_api_id}/{stage_name}/{method_path}",
    "aws_api_gateway_resource": "{rest_api_id}/{id}",
    "aws_api_gateway_stage": "{rest_api_id}/{stage_name}",
    "aws_apigatewayv2_authorizer": "{api_id}/{id}",
    "aws_apigatewayv2_deployment": "{api_id}/{id}",
    "aws_apigatewayv2_integration": "{api_id}/{id}",
    "aws_apigatewayv2_route": "{api_id}/{id}",
    "aws_apigatewayv2_stage": "{api_id}/{name}",
    "aws_budgets_budget": "000000000000:{name}",
    "aws_cloudfront_function": "{name}",
    "aws_cloudwatch_event_archive": "{name}",
    "aws_cloudwatch_event_bus": "{name}",
    "aws_cloudwatch_event_rule": "{event_bus_name}/{name}",
    "aws_cloudwatch_event_target": "{event_bus_name}/{rule}/{target_id}",
    "aws_cloudwatch_log_group": "{name}",
    "aws_cloudwatch_query_definition": (
        "arn:aws:logs:us-east-1:000000000000:query-definition:{id}"
    ),
    "aws_cognito_user_group": "{user_pool_id}/{name}",
    "aws_cognito_user_pool_client": "{user_pool_id}/{id}",
    "aws_db_subnet_group": "{name}",
    "aws_dynamodb_table": "{name}",
    "aws_elasticache_replication_group": "{replication_group_id}",
    "aws_elasticache_subnet_group": "{name}",
    "aws_elasticache_user": "{user_id}",
    "aws_elasticache_user_group": "{user_group_id}",
    "aws_iam_policy": "arn:aws:iam::000000000000:policy/{name}",
    "aws_iam_role": "{name}",
    "aws_iam_role_policy_attachment": "{role}/{policy_arn}",
    "aws_kms_alias": "{name}",
    "aws_lambda_alias": "{function_name}/{name}",
    "aws_lambda_function": "{function_name}",
    "aws_lambda_permission": "{function_name}:{qualifier}/{statement_id}",
    "aws_rds_cluster": "{cluster_identifier}",
    "aws_rds_cluster_instance": "{identifier}",
    "aws_rds_cluster_parameter_group": "{name}",
    "aws_route_table_association": "{subnet_id}/{route_table_id}",
    "aws_s3_bucket": "{bucket}",
    "aws_s3_object": "{bucket}/{key}",
    "aws_scheduler_schedule": "default/{name}",
    "aws_ssm_parameter": "{name}",
    "aws_wafv2_web_acl": "{id}/{name}/{scope}",
    "aws_wafv2_web_acl_association": "{web_acl_arn},{resource_arn}",
}
"""Templates of import ids, by resource type. `{id}` is the id that the apply logged or a lookup
returned. Other placeholders, such as `{name}`, are planned attributes of the resource.

For types without a template, the import id is `{id}`. The section "Import" in the provider's
documentation of a resource describes the format. Only the embedded AWS needs imports, so the
ARNs in these templates contain the account id of the embedded AWS."""


def created_ids(log: Path) -> dict[str, str]:
    """Returns the ids of the resources that an apply created, by address, from its JSON log.

    The id is "" if the apply ended before it logged the id, or while it deleted the resource. In
    both cases, the resource may not exist.
    """
    ids: dict[str, str] = {}
    for event, action, address, id_ in _changes(log) if log.exists() else ():
        if action == "create" and event == "apply_start":
            ids[address] = ""
        elif action == "create" and id_:
            ids[address] = id_
        elif action == "delete" and event == "apply_complete":
            ids.pop(address, None)
        elif action == "delete" and address in ids:
            ids[address] = ""
    return ids


def _changes(log: Path) -> Iterator[tuple[str, str, str, str]]:
    """Yields the event, the action, the address and the id of each change that began or ended."""
    for line in log.read_text(errors="replace").splitlines():
        try:
            message = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(message, dict) and message.get("type") in {"apply_start", "apply_complete"}:
            hook = message["hook"]
            yield (
                message["type"],
                hook["action"],
                hook["resource"]["addr"],
                hook.get("id_value", ""),
            )


def _find_nothing(_kind: str, _values: Mapping[str, Any]) -> str | None:
    return None


def adopt(
    stack: Terraform,
    existing: Collection[str],
    created: Mapping[str, str],
    find: Callable[[str, Mapping[str, Any]], str | None] = _find_nothing,
    *,
    possible: Collection[str] = (),
    absent: Collection[str] = (),
    trusts_log: bool = False,
) -> list[str]:
    """Writes import blocks, so that the next apply adds existing resources to the state.

    Runs `terraform plan` only if an import id is unknown or a resource may not exist, because each
    run starts the provider.

    Args:
        stack: The initialized stack.
        existing: Addresses of resources that may exist although the state does not contain them.
        created: Ids by address, from `created_ids`.
        find: Takes the type and the known attributes of a resource. Returns its id, "" if the
            resource does not exist, or None if that is unknown.
        possible: Addresses of further resources, which are adopted only if `find` finds them.
        absent: Addresses of resources that do not exist. Their import blocks are removed.
        trusts_log: True if the resources with a logged id certainly exist.

    Returns:
        The addresses for which this call has added import blocks. Omits resources that do not
        exist or whose import id is unknown.
    """
    earlier = _imports(stack.directory)
    configured = configuration(stack.directory)
    identification = _Identification(created, find, trusts_log=trusts_log)
    ids = identification.ids(
        {
            address: configured[address]
            for address in {*existing, *possible}
            if address in configured
        }
    )
    imports = earlier | {
        address: id_
        for address, id_ in ids.items()
        if address in existing or address in identification.certain
    }
    nonexistent = {*absent, *identification.absent}
    wanted = {*existing, *earlier}
    # A plan of these resources takes much less time than a plan of the whole stack.
    targets = [f"-target={address}" for address in wanted]
    while True:
        imports = {address: id_ for address, id_ in imports.items() if address not in nonexistent}
        _write_imports(stack.directory, imports)
        unknown = wanted - imports.keys() - nonexistent
        if not unknown and imports.keys() <= identification.certain:
            break
        try:
            with stack.temporary_plan("adoption", ("-refresh=false", *targets)) as plan:
                changes = stack.show(plan.file)["resource_changes"] if unknown else []
        except TerraformError as error:
            if not error.absent - nonexistent:
                raise
            nonexistent |= error.absent
            continue
        # The plan contains the ids that Terraform read from the imported resources. The import ids
        # of other resources, such as the routes of an API, may contain these ids.
        new = identification.ids(
            {
                change["address"]: (change["type"], change["change"]["after"] or {})
                for change in changes
                if change["change"]["actions"] == ["create"] and change["address"] in unknown
            }
        )
        nonexistent |= identification.absent
        if not new:
            break
        imports |= new
    return sorted(imports.keys() - earlier.keys())


class _Identification:
    """Finds the import ids of resources, and records which of them certainly exist."""

    def __init__(
        self,
        created: Mapping[str, str],
        find: Callable[[str, Mapping[str, Any]], str | None],
        *,
        trusts_log: bool,
    ) -> None:
        self._created = created
        self._find = find
        self._trusts_log = trusts_log
        self.certain: set[str] = set()
        self.absent: set[str] = set()

    def ids(self, resources: Mapping[str, tuple[str, Mapping[str, Any]]]) -> dict[str, str]:
        """Returns the import ids that are known, by address.

        Args:
            resources: Type and known attributes by address.
        """
        ids = {}
        for address, (kind, values) in resources.items():
            logged = self._created.get(address)
            is_certain = bool(logged and self._trusts_log)
            found_id = None if is_certain else self._find(kind, values)
            if found_id == "":
                self.absent.add(address)
                continue
            if id_ := import_id(kind, values, logged or found_id):
                ids[address] = id_
            if is_certain or found_id:
                self.certain.add(address)
        return ids


def configuration(directory: Path) -> dict[str, tuple[str, dict[str, Any]]]:
    """Returns the type and the constant attributes of each resource of a stack, by address.

    Omits attributes with references, whose values only a plan contains.
    """
    return {
        f"{kind}.{name}": (kind, {key: value for key, value in values.items() if _known(value)})
        for file in directory.glob("*.tf.json")
        for kind, resources in json.loads(file.read_text()).get("resource", {}).items()
        for name, values in resources.items()
        if not values.keys() & {"count", "for_each"}
    }


def _known(value: Any) -> bool:
    return "${" not in json.dumps(value)


def end_adoption(directory: Path) -> None:
    """Deletes the import blocks. Call it after the apply that used them."""
    (directory / IMPORTS_FILE).unlink(missing_ok=True)


def import_id(kind: str, values: Mapping[str, Any], logged: str | None) -> str | None:
    """Returns the id with which Terraform imports a resource, or None if the id is unknown."""
    template = IMPORT_IDS.get(kind)
    if template is None:
        return logged
    known = {name: value for name, value in values.items() if isinstance(value, str) and value}
    if logged:
        # If the configuration has no statement_id, the provider has chosen one. Terraform's log
        # contains it as the id.
        known = {"statement_id": logged, **known, "id": logged}
    try:
        return template.format_map(known)
    except KeyError:
        return None


def _write_imports(directory: Path, imports: Mapping[str, str]) -> None:
    blocks = [{"to": address, "id": id_} for address, id_ in imports.items()]
    if blocks:
        write_json(directory / IMPORTS_FILE, {"import": blocks})
    else:
        end_adoption(directory)


def _imports(directory: Path) -> dict[str, str]:
    file = directory / IMPORTS_FILE
    if not file.exists():
        return {}
    return {block["to"]: block["id"] for block in json.loads(file.read_text())["import"]}
