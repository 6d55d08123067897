from __future__ import annotations

from pathlib import Path

import pytest

from environments import Environment
from modules.base.connections import CacheConnection, DatabaseConnection
from modules.base.function import FunctionNetwork
from modules.base.table import Table
from modules.services.health import Health
from tests.modules.synthesis import Synthesized, environment, function_platform, synthesize

ACCOUNT = "us-east-1:111122223333"
TABLES = [
    Table(name, name, f"arn:aws:dynamodb:{ACCOUNT}:table/{name}", [])
    for name in ("sessions", "profiles")
]
DATABASE = DatabaseConnection("db.example:5432", "multitask_dev", "cluster-ABC", "arn:secret")
GROUP, USER = (
    f"arn:aws:elasticache:{ACCOUNT}:replicationgroup:cache",
    f"arn:aws:elasticache:{ACCOUNT}:user:platform",
)
CACHE = CacheConnection("cache.example:6379", "cache", GROUP, "platform", USER)


def health(artifacts: Path, env: Environment, cache: CacheConnection) -> Synthesized:
    return synthesize(
        lambda stack, env, _names: Health(
            stack,
            "health",
            platform=function_platform(env, artifacts),
            network=FunctionNetwork(["subnet-1"], ["sg-1"]),
            tables=TABLES,
            database=DATABASE,
            cache=cache,
            version="1.2.3",
        ),
        env,
    )


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Synthesized:
    return health(tmp_path_factory.mktemp("artifacts"), environment(), CACHE)


def statements(synthesized: Synthesized) -> dict[str, tuple[object, object]]:
    common = {"Logs", "Traces", "NetworkInterfaces"}
    return {
        item["Sid"]: (item["Action"], item["Resource"])
        for item in synthesized.policy("aws_iam_role_policy")
        if item["Sid"] not in common
    }


def test_the_health_function_gets_the_addresses_of_the_resources_to_check(dev: Synthesized) -> None:
    variables = dev.find_only("aws_lambda_function")["environment"]["variables"]
    expected = {
        "VERSION": "1.2.3",
        "DYNAMODB_TABLES": "sessions,profiles",
        "RDS_ENDPOINT": "db.example:5432",
        "RDS_DATABASE": "multitask_dev",
        "RDS_USERNAME": "health",
        "RDS_IAM_AUTH": "true",
        "ELASTICACHE_CLUSTER": "cache.example:6379",
        "ELASTICACHE_USERNAME": "platform",
        "ELASTICACHE_REPLICATION_GROUP": "cache",
        "ELASTICACHE_TLS": "true",
    }
    assert {key: variables.get(key) for key in expected} == expected


def test_the_health_function_can_describe_tables_but_not_read_items(dev: Synthesized) -> None:
    assert statements(dev) == {
        "Tables": ("dynamodb:DescribeTable", [table.arn for table in TABLES]),
        "Database": ("rds-db:connect", f"arn:aws:rds-db:{ACCOUNT}:dbuser:cluster-ABC/health"),
        "Cache": ("elasticache:Connect", [GROUP, USER]),
    }


def test_the_health_function_runs_in_the_vpc(dev: Synthesized) -> None:
    assert dev.find_only("aws_lambda_function")["vpc_config"]["subnet_ids"] == ["subnet-1"]
