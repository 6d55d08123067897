"""Starts the platform on this machine with the sizes of environments/examples/minimal.yml."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest

from ops.root import Root
from tests.e2e.operations.test_plan import assert_no_differences
from tests.e2e.support.commands import run_ops
from tests.e2e.support.platform import Platform
from tests.terraform import plan


@pytest.mark.nightly
@pytest.mark.timeout(1200)
def test_every_service_works_with_the_sizes_of_minimal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_LIKE", "minimal")
    # PostgreSQL's system user cannot read pytest's temporary directory.
    root = Path(tempfile.mkdtemp(prefix="multitask-")) / "root"
    try:
        run_ops(root, "up")
        platform = Platform.load(root, is_own=True)
        _check_network(platform)
        _check_pause(platform)
        checks = json.loads(run_ops(root, "smoke", "local", "--json"))
        assert [check for check in checks if not check["ok"]] == []
        requests = {check["request"] for check in checks}
        assert {"GET /v1/catalog/listings", "WebSocket join_room"} <= requests
        variables = platform.cloud.variables
        assert_no_differences(plan(platform.stack_directory, Root(root), variables=variables)[0])
    finally:
        run_ops(root, "down", "--purge")
        root.parent.rmdir()


def _check_network(platform: Platform) -> None:
    """Checks that the VPC allows outbound connections only over IPv6, and no inbound ones."""
    ec2 = platform.aws("ec2")
    vpc = {"Name": "vpc-id", "Values": [platform.outputs["vpc_id"]]}
    assert ec2.describe_nat_gateways()["NatGateways"] == []
    [description] = ec2.describe_vpcs(Filters=[vpc])["Vpcs"]
    [block] = description["Ipv6CidrBlockAssociationSet"]
    assert block["Ipv6CidrBlockState"]["State"] == "associated"
    subnets = ec2.describe_subnets(Filters=[vpc])["Subnets"]
    assert len(subnets) == 2
    assert all(item["Ipv6CidrBlockAssociationSet"] for item in subnets)
    tables = ec2.describe_route_tables(Filters=[vpc])["RouteTables"]
    egress_routes = [
        (route["DestinationIpv6CidrBlock"], route["EgressOnlyInternetGatewayId"][:5])
        for table in tables
        for route in table["Routes"]
        if "DestinationIpv6CidrBlock" in route
    ]
    assert egress_routes == [("::/0", "eigw-")] * 2
    destinations = {
        route.get("DestinationCidrBlock") for table in tables for route in table["Routes"]
    }
    assert "0.0.0.0/0" not in destinations
    name = platform.outputs["functions"]["chat"]
    function = platform.aws("lambda").get_function_configuration(FunctionName=name)
    assert function["VpcConfig"]["Ipv6AllowedForDualStack"] is True
    api = platform.aws("apigatewayv2").get_api(ApiId=platform.outputs["ws_api_id"])
    assert api["IpAddressType"] == "dualstack"


def _check_pause(platform: Platform) -> None:
    """Checks that the database can pause, and that nothing would resume it every minute."""
    [cluster] = platform.aws("rds").describe_db_clusters()["DBClusters"]
    scaling = cluster["ServerlessV2ScalingConfiguration"]
    assert (scaling["MinCapacity"], scaling["SecondsUntilAutoPause"]) == (0.0, 300)
    functions = platform.outputs["functions"]
    variables = platform.aws("lambda").get_function_configuration(FunctionName=functions["health"])
    assert "RDS_ENDPOINT" not in variables["Environment"]["Variables"]
    rules = platform.aws("events").list_rules()["Rules"]
    assert "rate(1 minute)" not in {rule.get("ScheduleExpression") for rule in rules}
