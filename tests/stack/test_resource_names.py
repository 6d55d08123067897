"""Tests that the names that commands compute equal the names in the synthesized stacks."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from environments import environment_names, load_environment
from environments.resource_names import (
    ALIAS,
    BUCKETS,
    GLOBAL_REGION,
    PROJECT,
    UNSET,
    bucket_name,
    database_name,
    ledger_table,
    resource_name,
    topic_name,
)
from ops.traffic.bake import ALARMS


@pytest.mark.parametrize("environment", environment_names())
def test_names_that_commands_compute_exist_in_the_stack(
    synthesized: Path, environment: str
) -> None:
    directory = synthesized / environment
    stack = json.loads((directory / "cdk.tf.json").read_text())
    secrets = json.loads((directory / "secrets.tf.json").read_text())

    def values(type_: str, attribute: str, document: dict[str, Any] = stack) -> set[str]:
        return {str(block[attribute]) for block in document["resource"][type_].values()}

    functions = stack["output"]["functions"]["value"]
    # The output `direct_health_url` works before the custom domain resolves.
    direct = stack["output"]["direct_health_url"]["value"]
    assert re.search(r"\$\{aws_api_gateway_rest_api\..*/health$", direct)
    assert ledger_table(environment) in values("aws_dynamodb_table", "name")
    assert values("aws_s3_bucket", "bucket") == {
        bucket_name(*bucket, environment, load_environment(environment).bucket_suffix)
        for bucket in BUCKETS
    }
    assert topic_name("alerts", environment) in values("aws_sns_topic", "name")
    assert database_name(environment) in values("aws_rds_cluster", "database_name")
    assert values("aws_lambda_alias", "name") == {ALIAS}
    assert values("aws_cloudwatch_metric_alarm", "alarm_name") >= {
        resource_name(function, alarm, environment) for function in functions for alarm in ALARMS
    }
    assert UNSET in values("aws_ssm_parameter", "value_wo", secrets)
    providers = {provider.get("alias"): provider for provider in stack["provider"]["aws"]}
    assert providers["edge"]["region"] == GLOBAL_REGION
    assert providers[None]["default_tags"][0]["tags"]["Project"] == PROJECT
