"""Stores settings of logs: saved queries, the logs of web ACLs and databases, and flow logs.

The embedded AWS does not write these logs, because it has no network to observe, applies no rules
of web ACLs, and runs no Aurora.
"""

from __future__ import annotations

import re
import time
import uuid
from typing import Any

from ministack.core.responses import AccountRegionScopedDict
from ministack.services import cloudwatch_logs, ec2, rds, waf

from .additions import CallError, Data, add_actions

_queries = AccountRegionScopedDict()
"""Saved queries of CloudWatch Logs Insights, by id."""
_web_acl_logs = AccountRegionScopedDict()
"""Logging configurations of web ACLs, by the web ACL's ARN."""
LOG_GROUP_PREFIX = "aws-waf-logs-"
"""WAF requires log groups whose names have this prefix."""
AGGREGATION_INTERVAL = 600
"""Seconds. AWS's default aggregation interval of a flow log."""
FLOW_FORMAT = (
    "${version} ${account-id} ${interface-id} ${srcaddr} ${dstaddr} ${srcport} ${dstport}"
    " ${protocol} ${packets} ${bytes} ${start} ${end} ${action} ${log-status}"
)
"""The default format of a flow log's records."""


def store_log_settings() -> None:
    """Makes ministack store and return the log settings that it lacks or ignores."""
    store_saved_queries()
    store_web_acl_logs()
    store_database_log_exports()
    store_flow_log_settings()


def store_saved_queries() -> None:
    """Adds the actions on saved queries, which ministack lacks."""
    add_actions(
        cloudwatch_logs,
        "logs",
        {
            "PutQueryDefinition": put_query,
            "DescribeQueryDefinitions": describe_queries,
            "DeleteQueryDefinition": delete_query,
        },
        query_definitions=_queries,
    )


def put_query(data: Data) -> Data:
    """Stores a saved query. Replaces the saved query with the same id."""
    id_ = data.get("queryDefinitionId")
    if id_ and id_ not in _queries:
        raise CallError("ResourceNotFoundException", f"The query definition {id_} does not exist")
    id_ = id_ or str(uuid.uuid4())
    query = {"queryLanguage": "CWLI", **data, "queryDefinitionId": id_}
    query.pop("clientToken", None)
    _queries[id_] = {**query, "lastModified": int(time.time() * 1000)}
    return {"queryDefinitionId": id_}


def describe_queries(data: Data) -> Data:
    """Returns the queries whose names start with a prefix."""
    prefix = data.get("queryDefinitionNamePrefix", "")
    queries = [query for query in _queries.values() if query["name"].startswith(prefix)]
    return {"queryDefinitions": queries}


def delete_query(data: Data) -> Data:
    """Deletes a saved query."""
    if _queries.pop(data["queryDefinitionId"], None) is None:
        raise CallError(
            "ResourceNotFoundException",
            f"The query definition {data['queryDefinitionId']} does not exist",
        )
    return {"success": True}


def store_web_acl_logs() -> None:
    """Adds the actions on the logging of web ACLs, which ministack lacks."""
    add_actions(
        waf,
        "wafv2",
        {
            "PutLoggingConfiguration": put_web_acl_log,
            "GetLoggingConfiguration": lambda data: {
                "LoggingConfiguration": find_web_acl_log(data)
            },
            "DeleteLoggingConfiguration": delete_web_acl_log,
            "ListLoggingConfigurations": lambda _: {
                "LoggingConfigurations": list(_web_acl_logs.values())
            },
        },
        logging_configurations=_web_acl_logs,
    )


def put_web_acl_log(data: Data) -> Data:
    """Stores the logging configuration of a web ACL."""
    configuration = data["LoggingConfiguration"]
    _, error = waf._resolve_local_web_acl(configuration["ResourceArn"])
    if error:
        message = f"The web ACL {configuration['ResourceArn']} does not exist"
        raise CallError("WAFNonexistentItemException", message)
    for destination in configuration["LogDestinationConfigs"]:
        if not re.search(rf"[:/]{LOG_GROUP_PREFIX}", destination):
            raise CallError(
                "WAFInvalidParameterException", f"{destination} lacks the prefix {LOG_GROUP_PREFIX}"
            )
    _web_acl_logs[configuration["ResourceArn"]] = configuration
    return {"LoggingConfiguration": configuration}


def find_web_acl_log(data: Data) -> Data:
    """Returns the logging configuration of a web ACL.

    Raises:
        CallError: the web ACL has no logging configuration.
    """
    configuration: Data | None = _web_acl_logs.get(data["ResourceArn"])
    if configuration is None:
        message = f"The web ACL {data['ResourceArn']} has no logging configuration"
        raise CallError("WAFNonexistentItemException", message)
    return configuration


def delete_web_acl_log(data: Data) -> Data:
    """Deletes the logging configuration of a web ACL."""
    del _web_acl_logs[find_web_acl_log(data)["ResourceArn"]]
    return {}


def store_database_log_exports() -> None:
    """Stores the types of logs that Aurora clusters export. ministack ignores these settings."""
    create, modify, render = rds._create_db_cluster, rds._modify_db_cluster, rds._cluster_xml
    member = "EnabledCloudwatchLogsExports"

    def change(parameters: Any, enable: str, disable: str) -> None:
        cluster = rds._clusters.get(rds._p(parameters, "DBClusterIdentifier"))
        if cluster is not None:
            enabled = {*cluster[member], *rds._parse_member_list(parameters, enable)}
            cluster[member] = sorted(enabled - {*rds._parse_member_list(parameters, disable)})

    def create_with_exports(parameters: Any) -> Any:
        response = create(parameters)
        if response[0] == 200:
            change(parameters, "EnableCloudwatchLogsExports", "")
        return response

    def modify_with_exports(parameters: Any) -> Any:
        response = modify(parameters)
        if response[0] == 200:
            configuration = "CloudwatchLogsExportConfiguration"
            change(
                parameters, f"{configuration}.EnableLogTypes", f"{configuration}.DisableLogTypes"
            )
        return response

    def render_with_exports(cluster: Data) -> str:
        types = "".join(f"<member>{type_}</member>" for type_ in cluster.get(member, ()))
        return f"{render(cluster)}<{member}>{types}</{member}>"

    rds._ACTION_MAP["CreateDBCluster"] = create_with_exports
    rds._ACTION_MAP["ModifyDBCluster"] = modify_with_exports
    rds._cluster_xml = render_with_exports


def store_flow_log_settings() -> None:
    """Stores the role, format, interval and tags of flow logs, which ministack ignores."""
    create, describe = ec2._ACTION_MAP["CreateFlowLogs"], ec2._ACTION_MAP["DescribeFlowLogs"]

    def create_with_settings(parameters: Any) -> Any:
        response = create(parameters)
        interval = ec2._p(parameters, "MaxAggregationInterval") or AGGREGATION_INTERVAL
        for id_ in re.findall(rb"<item>(fl-\w+)</item>", response[2]):
            # ministack's name for this resource type differs from AWS's.
            ec2._parse_tag_specs(parameters, "vpc-flow-log", id_.decode())
            flow_log = ec2._flow_logs[id_.decode()]
            flow_log["settings"] = {
                "deliverLogsPermissionArn": ec2._p(parameters, "DeliverLogsPermissionArn"),
                "deliverLogsStatus": "SUCCESS",
                "logFormat": ec2._p(parameters, "LogFormat") or FLOW_FORMAT,
                "logGroupName": flow_log["LogDestination"]
                .rpartition("log-group:")[2]
                .removesuffix(":*"),
                "maxAggregationInterval": str(interval),
            }
        return response

    def add_settings(id_: re.Match[bytes]) -> bytes:
        settings = ec2._flow_logs[id_[1].decode()].get("settings", {})
        elements = (f"<{name}>{value}</{name}>" for name, value in settings.items() if value)
        return id_[0] + "".join(elements).encode()

    def describe_with_settings(parameters: Any) -> Any:
        status, headers, body = describe(parameters)
        return status, headers, re.sub(rb"<flowLogId>(.*?)</flowLogId>", add_settings, body)

    ec2._ACTION_MAP["CreateFlowLogs"] = create_with_settings
    ec2._ACTION_MAP["DescribeFlowLogs"] = describe_with_settings
