"""Plans the upgrades that operators of an environment make, and reviews each plan.

Terraform plans from an applied state of the data stores, with the values of prod. No upgrade may
replace or destroy a resource that holds data, and none may fail because of `prevent_destroy`.
"""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable, Mapping, Set
from pathlib import Path
from typing import Any

import pytest

from ops.cloud import embedded_variables
from ops.embedded import Addresses
from ops.review.review import Review, review
from ops.review.rules import Verdict
from ops.root import Root
from ops.terraform.plan import Action, read_plan
from tests import terraform
from tests.ops.review.small import Block, apply, extract, find_only, list_labels, plan_change, write
from tests.stack.conftest import ACCOUNT
from tests.stack.stacks import read_settings, synthesize_variants

pytestmark = pytest.mark.nightly

Plan = Callable[[str | Callable[[Block], None]], Review]
"""Plans an upgrade by its name in UPGRADES, or a change of the applied stack."""

APPLIED = "planbasic"
"""The environment from whose applied state Terraform plans the upgrades."""

STATEFUL = frozenset(
    {
        "aws_cloudwatch_event_archive",
        "aws_cloudwatch_log_group",
        "aws_cognito_user_pool",
        "aws_dynamodb_table",
        "aws_elasticache_replication_group",
        "aws_kms_key",
        "aws_rds_cluster",
        "aws_s3_bucket",
        "aws_secretsmanager_secret",
        "aws_sqs_queue",
        "aws_ssm_parameter",
    }
)
"""The types that hold data."""
DATA_STORES = (
    ("aws_dynamodb_table", "database/"),
    ("aws_rds_cluster_instance", "database/"),
    ("aws_elasticache_replication_group", "database/"),
    ("aws_s3_bucket_lifecycle_configuration", "storage/"),
    ("aws_cognito_user_pool_client", "security/"),
    ("aws_cloudwatch_event_archive", "messaging/"),
    ("aws_sqs_queue", "messaging/"),
    ("aws_cloudwatch_log_group", "ai/"),
)
"""The data stores by type and construct. The resources that they refer to are applied too."""
AUTOSCALING = (
    ("aws_appautoscaling_target", "database/"),
    ("aws_appautoscaling_policy", "database/"),
)
"""The resources that only tables with provisioned capacity have."""

UPGRADES: Mapping[str, Mapping[str, Any]] = {
    "planmajor": {"rds": {"engine_version": "17.4", "allow_major_version_upgrade": True}},
    "planfewer": {"elasticache": {"replicas": 0}, "rds": {"instances": 1}},
    "planunits": {"dynamodb": {"billing_mode": "PROVISIONED"}},
    "planmixed": {
        "elasticache": {"node_type": "cache.t4g.medium", "replicas": 2},
        "rds": {"instances": 3, "max_capacity": 32.0, "engine_version": "16.9"},
        "monitoring": {"log_retention_days": 731},
        "domains": {
            "api": "api.example.com",
            "websocket": "ws.example.com",
            "cdn": "cdn.example.com",
            "site": "example.com",
        },
    },
}
"""The changed settings of each upgrade. `planmixed` combines upgrades of different resources."""


def add_index(document: Block) -> None:
    table = find_only(document, "aws_dynamodb_table", "database/chat-rooms")
    index = copy.deepcopy(table["global_secondary_index"][0])
    table["global_secondary_index"].append({**index, "name": "owner-index", "hash_key": "owner"})
    table["attribute"].append({"name": "owner", "type": "S"})


def upgrade_cache(document: Block) -> None:
    cache = find_only(document, "aws_elasticache_replication_group", "database/")
    major, minor = cache["engine_version"].split(".")
    cache["engine_version"] = f"{major}.{int(minor) + 1}"


def upgrade_to_stack(document: Block) -> None:
    """Leaves the stack unchanged, because the test stores an older cache version in the state."""


def keep_longer(document: Block) -> None:
    """Doubles the time for which events, messages and stored objects are retained."""
    find_only(document, "aws_cloudwatch_event_archive", "messaging/")["retention_days"] *= 2
    for queue in document["resource"]["aws_sqs_queue"].values():
        queue["message_retention_seconds"] = 1_209_600
    for lifecycle in document["resource"]["aws_s3_bucket_lifecycle_configuration"].values():
        for rule in lifecycle["rule"]:
            for expiration in rule.get("expiration", []):
                if "days" in expiration:
                    expiration["days"] *= 2


def require_second_factor(document: Block) -> None:
    for pool in document["resource"]["aws_cognito_user_pool"].values():
        pool["mfa_configuration"] = "ON"
        pool["software_token_mfa_configuration"] = {"enabled": True}


def rename_queues(document: Block) -> None:
    for queue in document["resource"]["aws_sqs_queue"].values():
        queue["name"] = f"new-{queue['name']}"


def rename_tables(document: Block) -> None:
    for table in document["resource"]["aws_dynamodb_table"].values():
        table["name"] = f"new-{table['name']}"


def remove_service(document: Block) -> None:
    """Removes the ai service with its table, as deleting its construct from the program does."""
    for type_, path in (("aws_cloudwatch_log_group", "ai/"), ("aws_dynamodb_table", "database/ai")):
        for label in list_labels(document, type_, path):
            del document["resource"][type_][label]


@pytest.fixture(scope="module")
def stacks(tmp_path_factory: pytest.TempPathFactory, empty_cloud: Addresses) -> Path:
    """Synthesizes APPLIED and each upgrade with a copy of the program, in one run."""
    prod, local = read_settings("prod"), read_settings("local")
    prod |= {
        "allowed_account_ids": [ACCOUNT],
        # The embedded AWS lacks some services and the fourth zone, and has another cache port.
        "capabilities": local["capabilities"],
        "network": {**prod["network"], "zone_ids": ["use1-az1", "use1-az2"]},
        "endpoints": local["endpoints"],
    }
    prod["network"].update(availability_zones=2, nat_gateways=2)
    del prod["promoted_from"]
    variants = {
        name: prod | {key: {**prod.get(key, {}), **section} for key, section in changes.items()}
        for name, changes in {APPLIED: {}, **UPGRADES}.items()
    }
    return synthesize_variants(
        tmp_path_factory.mktemp("upgrades"), variants, embedded_variables(empty_cloud)
    )


@pytest.fixture(scope="module")
def applied(stacks: Path, root: Root, empty_cloud: Addresses) -> Path:
    """Applies the data stores, and returns the directory of their stack and state."""
    directory = write(extract(stacks / APPLIED, DATA_STORES), stacks.parent / "applied")
    apply(directory, root, embedded_variables(empty_cloud))
    return directory


@pytest.fixture
def plan(applied: Path, stacks: Path, root: Root, empty_cloud: Addresses) -> Plan:
    def review_change(change: str | Callable[[Block], None]) -> Review:
        def upgrade(_: Block) -> Block:
            upgraded = extract(stacks / str(change), DATA_STORES)
            # The stacks must differ only in the changed settings, not in the environment's name.
            document: Block = json.loads(json.dumps(upgraded).replace(str(change), APPLIED))
            return document

        if isinstance(change, str):
            upgrade.__name__ = change
            _, shown = plan_change(applied, upgrade, root, embedded_variables(empty_cloud))
        else:
            _, shown = plan_change(applied, change, root, embedded_variables(empty_cloud))
        return review(read_plan(shown), APPLIED)

    return review_change


def changes(reviewed: Review) -> dict[tuple[str, Action], set[str]]:
    """Returns the changed attributes by resource type and action."""
    attributes: dict[tuple[str, Action], set[str]] = {}
    for item in reviewed.changes:
        paths = {difference.path.partition("[")[0] for difference in item.change.differences}
        attributes.setdefault((item.change.type, item.change.action), set()).update(paths)
    return attributes


def check_data_is_kept(reviewed: Review, *, irreversible: Set[str] = frozenset()) -> None:
    """Checks that no data store is replaced or destroyed.

    Args:
        irreversible: the resource types with changes that cannot be reversed but keep the data.
    """
    lost = [
        item.change.address
        for item in reviewed.changes
        if item.change.type in STATEFUL and item.change.action in {Action.REPLACE, Action.DESTROY}
    ]
    assert not lost
    assert {
        item.change.type for item in reviewed.changes if item.verdict is Verdict.IRREVERSIBLE
    } == irreversible


def test_a_plan_without_a_change_is_empty(plan: Plan) -> None:
    assert changes(plan(APPLIED)) == {}


def test_a_major_upgrade_of_the_database_adds_a_parameter_group_first(plan: Plan) -> None:
    reviewed = plan("planmajor")
    # An upgrade of PostgreSQL cannot be reversed, but keeps the data.
    check_data_is_kept(reviewed, irreversible={"aws_rds_cluster", "aws_rds_cluster_instance"})
    changed_attributes = changes(reviewed)
    assert changed_attributes["aws_rds_cluster", Action.UPDATE] >= {
        "engine_version",
        "allow_major_version_upgrade",
        "apply_immediately",
    }
    [group] = [
        item.change
        for item in reviewed.changes
        if item.change.type == "aws_rds_cluster_parameter_group"
    ]
    assert group.action is Action.REPLACE
    assert group.after["name"] == f"catalog-aurora-parameters-17-{APPLIED}"
    assert group.after["family"] == "aurora-postgresql17"


def test_upgrades_of_nodes_retention_and_domains_keep_the_data(plan: Plan) -> None:
    reviewed = plan("planmixed")
    check_data_is_kept(reviewed)
    changed_attributes = changes(reviewed)
    assert "engine_version" in changed_attributes["aws_rds_cluster", Action.UPDATE]
    assert changed_attributes["aws_elasticache_replication_group", Action.UPDATE] >= {
        "node_type",
        "num_cache_clusters",
    }
    assert ("aws_rds_cluster_instance", Action.CREATE) in changed_attributes
    assert ("aws_rds_cluster_instance", Action.REPLACE) not in changed_attributes
    assert changed_attributes["aws_cloudwatch_log_group", Action.UPDATE] == {"retention_in_days"}


def test_removing_database_and_cache_nodes_keeps_the_data(plan: Plan) -> None:
    reviewed = plan("planfewer")
    check_data_is_kept(reviewed)
    assert ("aws_rds_cluster_instance", Action.DESTROY) in changes(reviewed)


def test_provisioned_capacity_changes_tables_in_place(plan: Plan) -> None:
    reviewed = plan("planunits")
    check_data_is_kept(reviewed)
    assert "billing_mode" in changes(reviewed)["aws_dynamodb_table", Action.UPDATE]


def test_an_additional_index_changes_the_table_in_place(plan: Plan) -> None:
    reviewed = plan(add_index)
    check_data_is_kept(reviewed)
    assert changes(reviewed)["aws_dynamodb_table", Action.UPDATE] >= {"global_secondary_index"}


def test_a_minor_upgrade_of_the_cache_changes_it_in_place(plan: Plan) -> None:
    reviewed = plan(upgrade_cache)
    check_data_is_kept(reviewed)
    assert "engine_version" in changes(reviewed)["aws_elasticache_replication_group", Action.UPDATE]


def test_a_major_upgrade_of_the_cache_changes_it_in_place(
    applied: Path, root: Root, empty_cloud: Addresses
) -> None:
    older = applied.with_name("older")
    shutil.copytree(applied, older, symlinks=True)
    file = older / "terraform.tfstate"
    state = json.loads(file.read_text())
    for resource in state["resources"]:
        if resource["type"] == "aws_elasticache_replication_group":
            resource["instances"][0]["attributes"].update(
                engine_version="8.1", engine_version_actual="8.1.0"
            )
    file.write_text(json.dumps(state))
    _, shown = plan_change(older, upgrade_to_stack, root, embedded_variables(empty_cloud))
    reviewed = review(read_plan(shown), APPLIED)
    check_data_is_kept(reviewed, irreversible={"aws_elasticache_replication_group"})
    assert changes(reviewed).keys() == {("aws_elasticache_replication_group", Action.UPDATE)}


def test_longer_retention_changes_the_stores_in_place(plan: Plan) -> None:
    reviewed = plan(keep_longer)
    check_data_is_kept(reviewed)
    assert changes(reviewed).keys() == {
        (type_, Action.UPDATE)
        for type_ in (
            "aws_cloudwatch_event_archive",
            "aws_s3_bucket_lifecycle_configuration",
            "aws_sqs_queue",
        )
    }


def test_a_required_second_factor_keeps_the_users(plan: Plan) -> None:
    reviewed = plan(require_second_factor)
    check_data_is_kept(reviewed)
    assert "mfa_configuration" in changes(reviewed)["aws_cognito_user_pool", Action.UPDATE]


def test_a_change_that_replaces_data_is_detected(plan: Plan) -> None:
    reviewed = plan(rename_queues)
    assert changes(reviewed).keys() >= {("aws_sqs_queue", Action.REPLACE)}
    with pytest.raises(AssertionError, match="aws_sqs_queue"):
        check_data_is_kept(reviewed)


def test_a_change_that_prevent_destroy_forbids_is_detected(plan: Plan) -> None:
    with pytest.raises(AssertionError, match="Instance cannot be destroyed"):
        plan(rename_tables)


def test_removing_a_service_is_reported_as_irreversible(plan: Plan) -> None:
    """Terraform ignores prevent_destroy of a resource that the program no longer contains.

    Deletion protection of the table still stops the apply.
    """
    reviewed = plan(remove_service)
    tables = [item for item in reviewed.changes if item.change.type == "aws_dynamodb_table"]
    assert tables
    for table in tables:
        assert (table.change.action, table.verdict) == (Action.DESTROY, Verdict.IRREVERSIBLE)
        assert table.change.before["name"].startswith("ai-")
    usage = next(item for item in tables if item.change.before["name"].startswith("ai-usage-"))
    assert usage.change.before["deletion_protection_enabled"] is True


@pytest.fixture(scope="module")
def provisioned(applied: Path, stacks: Path, root: Root, empty_cloud: Addresses) -> Path:
    """Changes the applied tables to provisioned capacity. Later tests use the changed tables."""
    directory = applied.with_name("provisioned")
    shutil.copytree(applied, directory, symlinks=True)
    document = extract(stacks / "planunits", (*DATA_STORES, *AUTOSCALING))
    write(json.loads(json.dumps(document).replace("planunits", APPLIED)), directory)
    apply(directory, root, embedded_variables(empty_cloud))
    return directory


def test_the_plan_after_provisioning_is_empty(
    provisioned: Path, root: Root, empty_cloud: Addresses
) -> None:
    shown, _ = terraform.plan(provisioned, root, variables=embedded_variables(empty_cloud))
    # Checks only the types that the upgrade changes.
    resources = {
        (item["type"], *item["change"]["actions"])
        for item in shown["resource_changes"]
        if item["type"] in {"aws_dynamodb_table", *dict(AUTOSCALING)}
    }
    assert resources == {(type_, "no-op") for type_ in ("aws_dynamodb_table", *dict(AUTOSCALING))}


def test_tables_change_back_to_on_demand_billing_in_place(
    provisioned: Path, stacks: Path, root: Root, empty_cloud: Addresses
) -> None:
    def bill_on_demand(_: Block) -> Block:
        return extract(stacks / APPLIED, DATA_STORES)

    _, shown = plan_change(provisioned, bill_on_demand, root, embedded_variables(empty_cloud))
    reviewed = review(read_plan(shown), APPLIED)
    check_data_is_kept(reviewed)
    changed_attributes = changes(reviewed)
    assert "billing_mode" in changed_attributes["aws_dynamodb_table", Action.UPDATE]
    assert {(type_, Action.DESTROY) for type_, _ in AUTOSCALING} <= changed_attributes.keys()
