"""Tests the database module: tables, Aurora and the cache."""

from __future__ import annotations

from typing import Any

import pytest

from environments import Environment
from environments.model import CapacityRange, DynamoDb
from modules.database import Database
from modules.tables import TABLES
from tests.modules.synthesis import Synthesized, environment, synthesize


def _database(env: Environment) -> Synthesized:
    return synthesize(
        lambda stack, _env, names: Database(
            stack,
            "d",
            names=names,
            subnet_ids=["subnet-a", "subnet-b"],
            database_security_group_id="sg-database",
            cache_security_group_id="sg-cache",
        ),
        env,
    )


@pytest.fixture(scope="module")
def dev() -> Synthesized:
    return _database(environment("dev"))


@pytest.fixture(scope="module")
def prod() -> Synthesized:
    return _database(environment("prod"))


@pytest.fixture(scope="module")
def provisioned() -> Synthesized:
    dynamodb = DynamoDb(
        billing_mode="PROVISIONED", write=CapacityRange(min=7, max=70, target_utilization=60)
    )
    return _database(environment("prod", dynamodb=dynamodb))


def test_every_table_is_encrypted_and_on_demand(dev: Synthesized) -> None:
    tables = dev.all("aws_dynamodb_table")
    assert len(tables) == len(TABLES)
    for table in tables:
        assert table["billing_mode"] == "PAY_PER_REQUEST"
        assert table["server_side_encryption"]["enabled"] is True
        assert "read_capacity" not in table


def test_point_in_time_recovery_covers_two_tables_in_dev_and_all_permanent_data_in_prod(
    dev: Synthesized, prod: Synthesized
) -> None:
    def recoverable(result: Synthesized) -> set[str]:
        return {
            table["name"]
            for table in result.all("aws_dynamodb_table")
            if table["point_in_time_recovery"]["enabled"]
        }

    assert recoverable(dev) == {"auth-sessions-dev", "profile-profiles-dev"}
    transient = {"auth-rate-limits-prod", "chat-tickets-prod", "platform-idempotency-prod"}
    assert (
        recoverable(prod) == {table["name"] for table in prod.all("aws_dynamodb_table")} - transient
    )


def test_data_stores_are_protected_where_data_is_retained(
    dev: Synthesized, prod: Synthesized
) -> None:
    table = prod.find_only("aws_dynamodb_table", name="post-posts-prod")
    assert table["deletion_protection_enabled"] is True
    assert table["lifecycle"]["prevent_destroy"] is True
    cluster = prod.find_only("aws_rds_cluster")
    assert cluster["deletion_protection"] is True
    assert cluster["skip_final_snapshot"] is False
    assert cluster["lifecycle"]["prevent_destroy"] is True
    assert not any(item["deletion_protection_enabled"] for item in dev.all("aws_dynamodb_table"))
    assert dev.find_only("aws_rds_cluster")["skip_final_snapshot"] is True
    assert "lifecycle" not in dev.find_only("aws_rds_cluster")


def test_provisioned_capacity_is_scaled_automatically_and_ignored_by_plans(
    provisioned: Synthesized,
) -> None:
    table = provisioned.find_only("aws_dynamodb_table", name="auth-sessions-prod")
    assert (table["read_capacity"], table["write_capacity"]) == (5, 7)
    assert table["global_secondary_index"][0]["write_capacity"] == 7
    assert set(table["lifecycle"]["ignore_changes"]) == {
        "read_capacity",
        "write_capacity",
        "global_secondary_index",
    }
    targets = provisioned.all("aws_appautoscaling_target")
    indexes = sum(len(definition.indexes) for definition in TABLES)
    assert len(targets) == 2 * (len(TABLES) + indexes)
    writes = [item for item in targets if item["scalable_dimension"].endswith("WriteCapacityUnits")]
    assert {(item["min_capacity"], item["max_capacity"]) for item in writes} == {(7, 70)}
    policies: list[dict[str, Any]] = provisioned.all("aws_appautoscaling_policy")
    utilizations = {
        item["target_tracking_scaling_policy_configuration"]["target_value"] for item in policies
    }
    assert utilizations == {70, 60}


def test_aurora_is_serverless_with_the_documented_capacities(
    dev: Synthesized, prod: Synthesized
) -> None:
    def capacities(result: Synthesized) -> tuple[float, float]:
        scaling = result.find_only("aws_rds_cluster")["serverlessv2_scaling_configuration"]
        return scaling["min_capacity"], scaling["max_capacity"]

    assert capacities(dev) == (0.5, 1)
    assert capacities(prod) == (2, 16)
    assert len(dev.all("aws_rds_cluster_instance")) == 1
    assert len(prod.all("aws_rds_cluster_instance")) == 2
    assert {item["instance_class"] for item in prod.all("aws_rds_cluster_instance")} == {
        "db.serverless"
    }
    assert not any(item["publicly_accessible"] for item in prod.all("aws_rds_cluster_instance"))


def test_auroras_password_is_managed_by_rds_and_never_in_the_state(dev: Synthesized) -> None:
    cluster = dev.find_only("aws_rds_cluster")
    assert cluster["manage_master_user_password"] is True
    assert "master_password" not in cluster
    assert cluster["storage_encrypted"] is True
    assert cluster["iam_database_authentication_enabled"] is True
    parameters = {
        item["name"]: item["value"]
        for item in dev.find_only("aws_rds_cluster_parameter_group")["parameter"]
    }
    assert parameters["rds.force_ssl"] == "1"
    assert parameters["log_parameter_max_length"] == "0"


def test_the_cache_is_encrypted_and_accepts_only_iam_users(prod: Synthesized) -> None:
    cache = prod.find_only("aws_elasticache_replication_group")
    assert cache["at_rest_encryption_enabled"] == "true"
    assert cache["transit_encryption_enabled"] is True
    assert cache["transit_encryption_mode"] == "required"
    assert cache["num_cache_clusters"] == 2
    assert cache["automatic_failover_enabled"] is True
    assert cache["user_group_ids"]
    user = prod.find_only("aws_elasticache_user", user_name="chat-cache-user-prod")
    assert user["user_id"] == user["user_name"]
    assert user["authentication_mode"]["type"] == "iam"
    assert prod.find_only("aws_elasticache_user", user_name="default")["access_string"].startswith(
        "off"
    )


def test_the_name_of_the_parameter_group_contains_the_major_version() -> None:
    prod = environment("prod")
    rds = prod.rds.model_copy(
        update={"engine_version": "17.4", "allow_major_version_upgrade": True}
    )
    before, after = _database(prod), _database(environment("prod", rds=rds))
    for stack, version in ((before, "16"), (after, "17")):
        group = stack.find_only("aws_rds_cluster_parameter_group")
        assert group["name"] == f"catalog-aurora-parameters-{version}-prod"
        assert group["lifecycle"] == {"create_before_destroy": True}
    assert "allow_major_version_upgrade" not in before.find_only("aws_rds_cluster")
    assert before.find_only("aws_rds_cluster")["apply_immediately"] is False
    cluster = after.find_only("aws_rds_cluster")
    assert (cluster["allow_major_version_upgrade"], cluster["apply_immediately"]) == (True, True)
    assert before.find_only("aws_elasticache_replication_group")["engine"] == "valkey"
