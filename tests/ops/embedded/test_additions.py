"""Tests the services, actions and settings that the embedded AWS adds to ministack."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
import urllib3
from botocore.exceptions import ClientError

from ops.embedded.ports import LOOPBACK, ports_file
from ops.embedded.services import EVENTS_PATH
from ops.root import write_json
from tests.ops.embedded.servers import Server, running_server

TABLE = {
    "ServiceNamespace": "dynamodb",
    "ResourceId": "table/items",
    "ScalableDimension": "dynamodb:table:ReadCapacityUnits",
}
TRACKING = {
    "TargetValue": 70.0,
    "PredefinedMetricSpecification": {"PredefinedMetricType": "DynamoDBReadCapacityUtilization"},
}
BODIES = {"limited": {"ContentType": "APPLICATION_JSON", "Content": '{"error": "slow down"}'}}
VISIBILITY = {
    "SampledRequestsEnabled": True,
    "CloudWatchMetricsEnabled": True,
    "MetricName": "waf",
}
WEB_ACL: dict[str, Any] = {
    "Scope": "REGIONAL",
    "Name": "waf",
    "DefaultAction": {"Allow": {}},
    "VisibilityConfig": VISIBILITY,
}
ACCOUNT = "000000000000"
WAF_LOG_GROUP = f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:aws-waf-logs-app"
TAGS = [{"Key": "Name", "Value": "flows"}]
ROLE = f"arn:aws:iam::{ACCOUNT}:role/flow-logs"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server() as result:
        yield result


def error_code(call: Callable[[], object]) -> str:
    with pytest.raises(ClientError) as raised:
        call()
    return str(raised.value.response["Error"]["Code"])


def create_cluster(rds: Any, name: str) -> None:
    rds.create_db_cluster(
        DBClusterIdentifier=name,
        Engine="aurora-postgresql",
        MasterUsername="master",
        MasterUserPassword="password",
        EnableCloudwatchLogsExports=["postgresql"],
    )


def create_flow_log(ec2: Any) -> str:
    """Creates a VPC with a flow log, and returns the VPC's id."""
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    ec2.create_flow_logs(
        ResourceIds=[vpc],
        ResourceType="VPC",
        TrafficType="REJECT",
        LogDestination=f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:flows:*",
        DeliverLogsPermissionArn=ROLE,
        TagSpecifications=[{"ResourceType": "vpc-flow-log", "Tags": TAGS}],
    )
    return str(vpc)


def test_scalable_targets_and_policies_are_stored(server: Server) -> None:
    scaling = server.client("application-autoscaling")

    def put_policy() -> Any:
        return scaling.put_scaling_policy(
            **TABLE,
            PolicyName="read",
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration=TRACKING,
        )

    assert error_code(put_policy) == "ObjectNotFoundException"
    arn = scaling.register_scalable_target(
        **TABLE, MinCapacity=5, MaxCapacity=100, Tags={"a": "1"}
    )["ScalableTargetARN"]
    policy_arn = put_policy()["PolicyARN"]
    scaling.register_scalable_target(**TABLE, MaxCapacity=200)
    scaling.tag_resource(ResourceARN=arn, Tags={"b": "2"})
    scaling.untag_resource(ResourceARN=arn, TagKeys=["a"])
    [target] = scaling.describe_scalable_targets(
        ServiceNamespace="dynamodb", ResourceIds=["table/items"]
    )["ScalableTargets"]
    assert target.items() >= {**TABLE, "MinCapacity": 5, "MaxCapacity": 200}.items()
    assert target["ScalableTargetARN"] == arn
    assert scaling.list_tags_for_resource(ResourceARN=arn)["Tags"] == {"b": "2"}
    [policy] = scaling.describe_scaling_policies(**TABLE, PolicyNames=["read"])["ScalingPolicies"]
    assert policy["TargetTrackingScalingPolicyConfiguration"] == TRACKING
    assert policy["PolicyARN"] == policy_arn
    others = {"ServiceNamespace": "dynamodb", "ResourceIds": ["table/others"]}
    assert scaling.describe_scalable_targets(**others)["ScalableTargets"] == []

    scaling.deregister_scalable_target(**TABLE)
    assert scaling.describe_scaling_policies(ServiceNamespace="dynamodb")["ScalingPolicies"] == []
    assert (
        error_code(lambda: scaling.deregister_scalable_target(**TABLE)) == "ObjectNotFoundException"
    )


def test_trace_groups_are_stored(server: Server) -> None:
    xray = server.client("xray")
    group = xray.create_group(
        GroupName="chat", FilterExpression='service("chat")', Tags=[{"Key": "a", "Value": "1"}]
    )["Group"]
    assert error_code(lambda: xray.create_group(GroupName="chat")) == "InvalidRequestException"
    arn = group["GroupARN"]
    xray.update_group(GroupARN=arn, FilterExpression='service("new")')
    xray.tag_resource(ResourceARN=arn, Tags=[{"Key": "b", "Value": "2"}])
    xray.untag_resource(ResourceARN=arn, TagKeys=["a"])
    expected = {**group, "FilterExpression": 'service("new")'}
    assert xray.get_group(GroupName="chat")["Group"] == expected
    assert xray.get_groups()["Groups"][0]["GroupARN"] == arn
    assert xray.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "b", "Value": "2"}]
    xray.delete_group(GroupARN=arn)
    assert error_code(lambda: xray.get_group(GroupARN=arn)) == "InvalidRequestException"


def test_saved_queries_are_stored(server: Server) -> None:
    logs = server.client("logs")
    query = {"name": "app/trace", "queryString": "fields @message", "logGroupNames": ["a", "b"]}
    id_ = logs.put_query_definition(**query)["queryDefinitionId"]
    logs.put_query_definition(queryDefinitionId=id_, **{**query, "logGroupNames": ["c"]})
    [stored] = logs.describe_query_definitions(queryDefinitionNamePrefix="app/")["queryDefinitions"]
    assert stored.items() >= {**query, "logGroupNames": ["c"], "queryDefinitionId": id_}.items()
    others = logs.describe_query_definitions(queryDefinitionNamePrefix="x")
    assert others["queryDefinitions"] == []
    logs.delete_query_definition(queryDefinitionId=id_)
    assert (
        error_code(lambda: logs.delete_query_definition(queryDefinitionId=id_))
        == "ResourceNotFoundException"
    )


def test_response_bodies_and_logs_of_web_acls_are_stored(server: Server) -> None:
    waf = server.client("wafv2")
    arn = waf.create_web_acl(**WEB_ACL, Rules=[], CustomResponseBodies=BODIES)["Summary"]["ARN"]
    configuration = {"ResourceArn": arn, "LogDestinationConfigs": [WAF_LOG_GROUP]}
    misnamed = {**configuration, "LogDestinationConfigs": [WAF_LOG_GROUP.replace("aws-waf-", "")]}
    for refused in (misnamed, {**configuration, "ResourceArn": f"{arn}x"}):
        with pytest.raises(ClientError):
            waf.put_logging_configuration(LoggingConfiguration=refused)
    waf.put_logging_configuration(LoggingConfiguration=configuration)
    stored = waf.get_logging_configuration(ResourceArn=arn)["LoggingConfiguration"]
    assert stored == configuration
    id_ = arn.rpartition("/")[2]

    def get() -> Any:
        return waf.get_web_acl(Name="waf", Scope="REGIONAL", Id=id_)

    assert get()["WebACL"]["CustomResponseBodies"] == BODIES
    waf.update_web_acl(**WEB_ACL, Id=id_, LockToken=get()["LockToken"], Rules=[])
    assert get()["WebACL"].get("CustomResponseBodies", {}) == {}
    waf.delete_logging_configuration(ResourceArn=arn)
    assert (
        error_code(lambda: waf.get_logging_configuration(ResourceArn=arn))
        == "WAFNonexistentItemException"
    )


def test_the_log_exports_of_a_cluster_are_stored(server: Server) -> None:
    rds = server.client("rds")
    create_cluster(rds, "cluster")

    def exports() -> Any:
        [cluster] = rds.describe_db_clusters(DBClusterIdentifier="cluster")["DBClusters"]
        return cluster.get("EnabledCloudwatchLogsExports")

    assert exports() == ["postgresql"]
    types = {"EnableLogTypes": ["instance"], "DisableLogTypes": ["postgresql"]}
    rds.modify_db_cluster(DBClusterIdentifier="cluster", CloudwatchLogsExportConfiguration=types)
    assert exports() == ["instance"]


def test_the_settings_of_flow_logs_are_stored(server: Server) -> None:
    ec2 = server.client("ec2")
    vpc = create_flow_log(ec2)
    [flow_log] = ec2.describe_flow_logs(Filters=[{"Name": "resource-id", "Values": [vpc]}])[
        "FlowLogs"
    ]
    assert (flow_log["DeliverLogsPermissionArn"], flow_log["Tags"]) == (ROLE, TAGS)
    assert (flow_log["LogGroupName"], flow_log["MaxAggregationInterval"]) == ("flows", 600)
    assert flow_log["LogFormat"].startswith("${version}")


def test_iam_policies_apply_to_added_services(server: Server) -> None:
    iam = server.client("iam")
    iam.create_user(UserName="limited")
    statements: list[dict[str, Any]] = [
        {"Action": "xray:*", "Resource": f"arn:aws:xray:us-east-1:{ACCOUNT}:group/own-*/*"},
        {
            "Action": "application-autoscaling:*",
            "Resource": "*",
            "Condition": {
                "StringEquals": {"application-autoscaling:service-namespace": "dynamodb"}
            },
        },
        {"Action": "logs:PutQueryDefinition", "Resource": "*"},
    ]
    policy = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", **statement} for statement in statements],
    }
    iam.put_user_policy(UserName="limited", PolicyName="p", PolicyDocument=json.dumps(policy))
    key = iam.create_access_key(UserName="limited")["AccessKey"]

    def client(service: Any) -> Any:
        return boto3.client(
            service,
            region_name="us-east-1",
            endpoint_url=f"https://{LOOPBACK}:{server.port}",
            verify=server.authority,
            aws_access_key_id=key["AccessKeyId"],
            aws_secret_access_key=key["SecretAccessKey"],
        )

    scaling, xray, logs = client("application-autoscaling"), client("xray"), client("logs")
    xray.create_group(GroupName="own-group")
    scaling.register_scalable_target(**TABLE, MinCapacity=1, MaxCapacity=2)
    id_ = logs.put_query_definition(name="q", queryString="fields @message")["queryDefinitionId"]
    other = {**TABLE, "ServiceNamespace": "ecs"}
    for call in (
        lambda: xray.create_group(GroupName="other-group"),
        lambda: scaling.register_scalable_target(**other, MinCapacity=1, MaxCapacity=2),
        lambda: logs.delete_query_definition(queryDefinitionId=id_),
    ):
        assert error_code(call) == "AccessDeniedException"


def test_a_restart_keeps_the_added_resources(server: Server) -> None:
    scaling, xray, logs = (
        server.client(name) for name in ("application-autoscaling", "xray", "logs")
    )
    waf, rds, ec2 = (server.client(name) for name in ("wafv2", "rds", "ec2"))
    target = {**TABLE, "ResourceId": "table/kept"}
    scaling.register_scalable_target(**target, MinCapacity=1, MaxCapacity=2)
    scaling.put_scaling_policy(
        **target,
        PolicyName="read",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration=TRACKING,
    )
    xray.create_group(GroupName="kept")
    logs.put_query_definition(name="kept", queryString="fields @message")
    bodies = {"CustomResponseBodies": BODIES}
    acl = waf.create_web_acl(**{**WEB_ACL, "Name": "kept"}, **bodies)["Summary"]
    waf.put_logging_configuration(
        LoggingConfiguration={"ResourceArn": acl["ARN"], "LogDestinationConfigs": [WAF_LOG_GROUP]}
    )
    create_cluster(rds, "kept")
    create_flow_log(ec2)

    reads: list[Callable[[], Any]] = [
        lambda: scaling.describe_scalable_targets(ServiceNamespace="dynamodb")["ScalableTargets"],
        lambda: scaling.describe_scaling_policies(ServiceNamespace="dynamodb")["ScalingPolicies"],
        lambda: xray.get_groups()["Groups"],
        lambda: logs.describe_query_definitions()["queryDefinitions"],
        lambda: [
            waf.get_web_acl(Name="kept", Scope="REGIONAL", Id=acl["Id"])["WebACL"][name]
            for name in bodies
        ],
        lambda: waf.list_logging_configurations(Scope="REGIONAL")["LoggingConfigurations"],
        lambda: [
            cluster["EnabledCloudwatchLogsExports"]
            for cluster in rds.describe_db_clusters()["DBClusters"]
        ],
        lambda: ec2.describe_flow_logs()["FlowLogs"],
    ]
    before = [read() for read in reads]
    assert all(before)
    server.stop()
    server.start()
    assert [read() for read in reads] == before


def test_a_saved_replication_group_reports_the_current_port_of_the_cache() -> None:
    """`ops up` chooses a new port if another program uses the saved one."""
    with running_server() as server:
        cache = server.client("elasticache")
        cache.create_replication_group(
            ReplicationGroupId="group", ReplicationGroupDescription="-", Engine="valkey"
        )
        server.stop()
        write_json(ports_file(server.root), {"cache-proxy": 20_001})
        server.start()
        [group] = cache.describe_replication_groups()["ReplicationGroups"]
        [node_group] = group["NodeGroups"]
        assert node_group["PrimaryEndpoint"]["Port"] == 20_001


@pytest.mark.parametrize("limit", ["x", "0", "-1", "100000"])
def test_a_request_for_events_with_an_invalid_limit_returns_400(server: Server, limit: str) -> None:
    url = f"http://{LOOPBACK}:{server.plain_port}{EVENTS_PATH}?limit={limit}"
    response = urllib3.request("GET", url, retries=False)
    assert (response.status, response.json()) == (
        400,
        f"limit={limit} is not a number from 1 to 99999",
    )


def test_tls_connections_receive_no_session_tickets(server: Server) -> None:
    """Before Python 3.13, `ssl` can lose a client's first request while a ticket arrives."""
    tls = ssl.create_default_context(cafile=server.authority)
    address = (LOOPBACK, server.port)
    with tls.wrap_socket(socket.create_connection(address), server_hostname=LOOPBACK) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.recv(1)
        assert client.version() == "TLSv1.3"
        assert client.session is None or not client.session.has_ticket
