"""Corrects ministack's responses and routing where they differ from AWS."""

from __future__ import annotations

import base64
import binascii
import json
import re
import time
from collections.abc import Callable
from threading import Lock
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

from ministack.core import lambda_runtime
from ministack.core.responses import error_response_json, json_response
from ministack.services import (
    apigateway,
    apigateway_v1,
    cloudfront,
    cloudwatch,
    cloudwatch_logs,
    cognito,
    ec2,
    elasticache,
    rds,
    sqs,
    waf,
)

from .request_logs import current_id

MAX_DELAY = 900
"""Maximum number of seconds for which a sender can delay an SQS message."""
SECONDS_UNTIL_PAUSE = "SecondsUntilAutoPause"


def follow_alias_of_websockets() -> None:
    """Sends each WebSocket frame to the version that the alias currently names.

    ministack would send all frames to the version that received the first one.
    """
    get_worker = lambda_runtime.get_or_create_worker

    def get_current_worker(
        name: str, config: dict[str, Any], code: bytes, qualifier: str = "$LATEST"
    ) -> Any:
        worker = get_worker(name, config, code, qualifier)
        if worker.config.get("Version") != config.get("Version"):
            lambda_runtime.invalidate_worker(name, qualifier)
            worker = get_worker(name, config, code, qualifier)
        return worker

    lambda_runtime.get_or_create_worker = get_current_worker


def omit_extra_response_fields() -> None:
    """Removes fields from ministack's responses that AWS's responses do not contain.

    Each such field would make Terraform change or replace a resource at every apply.
    """
    put_integration = apigateway_v1._put_integration
    add_headers_policy = cloudfront._build_rhp_config_xml

    def put_integration_without_method(api: str, resource: str, method: str, data: Any) -> Any:
        if data.get("type") == "MOCK":
            data = {**data, "httpMethod": None}
        return put_integration(api, resource, method, data)

    def add_headers_policy_without_empty_parts(parent: Element, policy: Any) -> None:
        add_headers_policy(parent, policy)
        for name in ("CustomHeadersConfig", "RemoveHeadersConfig"):
            part = parent.find(name)
            if part is not None and part.find("Items") is None:
                parent.remove(part)

    apigateway_v1._put_integration = put_integration_without_method
    cloudfront._build_rhp_config_xml = add_headers_policy_without_empty_parts


def return_complete_alarms() -> None:
    """Adds the members of alarms that ministack omits from the XML response of DescribeAlarms.

    Without them, Terraform would change every alarm at each apply.
    """
    describe = cloudwatch._describe_alarms

    def describe_completely(
        parameters: dict[str, list[str]], data: Any, is_cbor: bool, is_json: bool = False
    ) -> Any:
        if is_cbor or is_json:
            return describe(parameters, data, is_cbor, is_json)
        # ministack's JSON response is complete.
        status, _, body = describe({}, _json_parameters(parameters), False, True)
        if status != 200:
            return describe(parameters, data, False)
        result = json.loads(body)
        result["MetricAlarms"] = [
            {**alarm, **_omitted_members(alarm)} for alarm in result["MetricAlarms"]
        ]
        root = Element("root")
        _add_members(root, {"DescribeAlarmsResult": result})
        return cloudwatch._xml(200, "DescribeAlarmsResponse", tostring(root[0], "unicode"))

    cloudwatch._describe_alarms = describe_completely


def _json_parameters(parameters: dict[str, list[str]]) -> dict[str, Any]:
    """Converts parameters of AWS's query protocol to JSON. Collects `Name.member.N` in a list."""
    converted: dict[str, Any] = {}
    for name, [value, *_] in parameters.items():
        start, separator, _index = name.partition(".member.")
        if separator:
            converted.setdefault(start, []).append(value)
        else:
            converted[name] = value
    return converted


def _omitted_members(alarm: dict[str, Any]) -> dict[str, None]:
    """Returns the members to omit from the XML of an alarm, each with the value None.

    ministack stores a default value for members that AWS omits.
    """
    # Times would need AWS's format, and no program here reads them.
    omitted = [name for name in alarm if name.endswith("Timestamp")]
    if alarm["ExtendedStatistic"]:
        omitted.append("Statistic")
    if not alarm["MetricName"]:
        # The alarm is on a metric expression. Its queries contain these members, so AWS omits
        # them from the alarm itself.
        omitted += ["MetricName", "Namespace", "Statistic", "Period"]
    return dict.fromkeys(omitted)


def _add_members(parent: Element, members: dict[str, Any]) -> None:
    """Adds elements for the members of a structure, as in AWS's query protocol."""
    for name, value in members.items():
        if value is None:
            continue
        element = SubElement(parent, name)
        if isinstance(value, list):
            for item in value:
                _add_members(element, {"member": item})
        elif isinstance(value, dict):
            _add_members(element, value)
        else:
            element.text = str(value).lower() if isinstance(value, bool) else str(value)


def ignore_ports_of_rules_for_all_protocols() -> None:
    """Ignores the ports when security group rules for all protocols are compared, as AWS does.

    Terraform revokes the default egress rule of a new security group, and sends ports that the
    default rule does not have. ministack would compare the ports, not find the default rule, and
    keep it. When Terraform then adds a rule with tags, ministack would return the default rule
    instead.
    """
    compare = ec2._strip_descriptions

    def compare_without_ports(rule: dict[str, Any]) -> dict[str, Any]:
        compared: dict[str, Any] = compare(rule)
        if compared.get("IpProtocol") == "-1":
            for name in ("FromPort", "ToPort"):
                compared.pop(name, None)
        return compared

    ec2._strip_descriptions = compare_without_ports


def keep_websockets_after_deep_frames() -> None:
    """Keeps the connection if the JSON of a frame is nested too deeply for Python.

    Sends the frame to the route `$default`, as AWS does. ministack would close the connection.
    """
    evaluate: Callable[[str, str], str] = apigateway._evaluate_route_selection

    def evaluate_any(expression: str, payload: str) -> str:
        try:
            return evaluate(expression, payload)
        except RecursionError:
            return "$default"

    apigateway._evaluate_route_selection = evaluate_any


def render_ids_of_mock_responses() -> None:
    """Replaces the variable `$context.requestId` in the bodies of mock integrations.

    ministack does not render the templates of these bodies.
    """
    invoke = apigateway_v1._invoke_mock_v1

    def invoke_and_render(integration: Any) -> tuple[int, dict[str, str], bytes]:
        status, headers, body = invoke(integration)
        return status, headers, body.replace(b"$context.requestId", current_id().encode())

    apigateway_v1._invoke_mock_v1 = invoke_and_render


def report_current_port_of_cache() -> None:
    """Sets the port of saved replication groups to the port on which the cache listens now.

    `ops up` chooses a new port if another program uses the previous one. Terraform would then
    replace the group, which fails because a group of that name exists.
    """
    load = elasticache.load_persisted_state

    def load_and_correct(data: Any) -> None:
        load(data)
        for group in elasticache._replication_groups.all_values():
            for node_group in group["NodeGroups"]:
                members = [member["ReadEndpoint"] for member in node_group["NodeGroupMembers"]]
                for endpoint in (
                    node_group["PrimaryEndpoint"],
                    node_group["ReaderEndpoint"],
                    *members,
                ):
                    endpoint["Port"] = elasticache.REDIS_DEFAULT_PORT

    elasticache.load_persisted_state = load_and_correct


def allow_requests_after_clock_changes() -> None:
    """Resets the throttling of an API's stage if the clock was set back.

    Otherwise, ministack rejects all requests until the clock reaches the time of the last request
    again.
    """
    take: Callable[..., bool] = apigateway_v1._take_token
    states = apigateway_v1._throttle_state

    def take_token(slot: Any, limits: Any) -> bool:
        if slot in states and states[slot][1] > time.time():
            del states[slot]
        return take(slot, limits)

    apigateway_v1._take_token = take_token


def deliver_after_clock_changes() -> None:
    """Delivers SQS messages on time after the clock was set back.

    ministack stores the time until which it hides a received or delayed message. Without this
    correction, it would hide the message until the clock reaches that time again.
    """
    collect = sqs._collect_msgs

    def collect_by_clock(queue: dict[str, Any], number: int, timeout: int) -> list[Any]:
        now = time.time()
        longest = max(int(queue["attributes"]["VisibilityTimeout"]), timeout, MAX_DELAY)
        for message in queue["messages"]:
            if message.get("visible_at", now) > now + longest:
                message["visible_at"] = now
        collected: list[Any] = collect(queue, number, timeout)
        return collected

    sqs._collect_msgs = collect_by_clock


def return_tag_of_updated_functions() -> None:
    """Adds the header `ETtag`, as AWS spells it, to the responses of UpdateFunction (CloudFront).

    Without it, Terraform cannot publish the function that it has changed.
    """
    update = cloudfront._cf_update_function

    def update_with_tag(*arguments: Any) -> tuple[int, dict[str, str], bytes]:
        status, headers, body = update(*arguments)
        return status, {**headers, "ETtag": headers.get("ETag", "")}, body

    cloudfront._cf_update_function = update_with_tag


def store_response_bodies() -> None:
    """Stores the custom response bodies of web ACLs, which ministack drops."""
    create, update = waf.create_web_acl_record, waf._update_web_acl
    member = "CustomResponseBodies"

    def create_with_bodies(name: str, scope: str, properties: dict[str, Any]) -> Any:
        id_, arn, record = create(name, scope, properties)
        record[member] = properties.get(member, {})
        return id_, arn, record

    def update_with_bodies(data: dict[str, Any]) -> Any:
        response = update(data)
        if response[0] == 200:
            record = waf._resource_from_scope(waf._web_acls, data["Id"], data["Scope"])
            record[member] = data.get(member, {})
        return response

    waf.create_web_acl_record = create_with_bodies
    waf._update_web_acl = update_with_bodies


def store_auto_pause() -> None:
    """Stores `SecondsUntilAutoPause` of Aurora clusters, which ministack drops."""
    read, render, member = rds._serverlessv2_from_params, rds._serverlessv2_xml, SECONDS_UNTIL_PAUSE

    def read_with_pause(parameters: Any) -> Any:
        capacity = read(parameters)
        seconds = rds._p(parameters, f"ServerlessV2ScalingConfiguration.{member}")
        return {**capacity, member: int(seconds)} if capacity and seconds else capacity

    def render_with_pause(cluster: dict[str, Any]) -> str:
        text: str = render(cluster)
        seconds = (cluster.get("ServerlessV2ScalingConfiguration") or {}).get(member)
        end = "</ServerlessV2ScalingConfiguration>"
        return text.replace(end, f"<{member}>{seconds}</{member}>{end}") if seconds else text

    rds._serverlessv2_from_params = read_with_pause
    rds._serverlessv2_xml = render_with_pause


def support_all_zones() -> None:
    """Allows subnets in the zones d to f. ministack would create such subnets in zone a."""

    def find_zone(zone_id: str | None) -> str | None:
        names = (f"{ec2.get_region()}{letter}" for letter in "abcdef")
        return next((name for name in names if ec2._az_id_for_zone_name(name) == zone_id), None)

    ec2._zone_name_for_az_id = find_zone


def store_interface_endpoints() -> None:
    """Stores security groups and private DNS of VPC endpoints, which ministack drops."""
    create, modify, render = (
        ec2._create_vpc_endpoint,
        ec2._modify_vpc_endpoint,
        ec2._vpce_fields_xml,
    )
    groups, private_dns = "SecurityGroupIds", "PrivateDnsEnabled"

    def create_completely(parameters: Any) -> Any:
        response = create(parameters)
        [id_] = re.findall(b"<vpcEndpointId>(.*?)<", response[2])
        endpoint = ec2._vpc_endpoints[id_.decode()]
        endpoint[groups] = ec2._parse_member_list(parameters, "SecurityGroupId")
        endpoint[private_dns] = ec2._p(parameters, private_dns) or "false"
        body = render_completely(endpoint, tag="vpcEndpoint")
        return ec2._xml(response[0], "CreateVpcEndpointResponse", body)

    def modify_completely(parameters: Any) -> Any:
        response = modify(parameters)
        if response[0] == 200:
            endpoint = ec2._vpc_endpoints[ec2._p(parameters, "VpcEndpointId")]
            removed = ec2._parse_member_list(parameters, "RemoveSecurityGroupId")
            kept = [group for group in endpoint.get(groups, []) if group not in removed]
            endpoint[groups] = kept + ec2._parse_member_list(parameters, "AddSecurityGroupId")
            endpoint[private_dns] = ec2._p(parameters, private_dns) or endpoint.get(private_dns)
        return response

    def render_completely(endpoint: dict[str, Any], tag: str = "item") -> str:
        text: str = render(endpoint, tag=tag)
        items = "".join(
            f"<item><groupId>{id_}</groupId></item>" for id_ in endpoint.get(groups, ())
        )
        dns = endpoint.get(private_dns) or "false"
        more = f"<groupSet>{items}</groupSet><privateDnsEnabled>{dns}</privateDnsEnabled>"
        return text.replace("<subnetIdSet>", f"{more}<subnetIdSet>")

    ec2._ACTION_MAP["CreateVpcEndpoint"] = create_completely
    ec2._ACTION_MAP["ModifyVpcEndpoint"] = modify_completely
    ec2._vpce_fields_xml = render_completely


def register_each_address_once() -> None:
    """Executes the sign-ups of Cognito one after another.

    ministack would create two users if an email address is registered twice at the same time.
    """
    sign_up, lock = cognito._sign_up, Lock()

    def sign_up_alone(data: Any) -> Any:
        with lock:
            return sign_up(data)

    cognito._sign_up = sign_up_alone


def page_log_events() -> None:
    """Makes FilterLogEvents return a token for the next page if a page is full.

    ministack would return only the first page. A token contains the time of the page's last
    event, and the number of events with this time that were already returned.
    """
    filter_events = cloudwatch_logs._filter_log_events
    maximum = 10_000

    def filter_page(data: dict[str, Any]) -> Any:
        limit, start, skipped = data.get("limit", maximum), data.get("startTime"), 0
        if "nextToken" in data:
            try:
                start, skipped = map(int, base64.b64decode(data["nextToken"]).split())
            except (ValueError, binascii.Error):
                return error_response_json(
                    "InvalidParameterException", "The specified nextToken is invalid.", 400
                )
        wanted = {**data, "limit": limit + skipped}
        if start is not None:
            wanted["startTime"] = start
        status, headers, body = filter_events(wanted)
        if status != 200:
            return status, headers, body
        events = json.loads(body)["events"]
        result = {"events": events[skipped:], "searchedLogStreams": []}
        if len(events) >= min(limit + skipped, maximum):
            last = events[-1]["timestamp"]
            count = sum(event["timestamp"] == last for event in events)
            result["nextToken"] = base64.b64encode(f"{last} {count}".encode()).decode()
        return json_response(result)

    cloudwatch_logs._filter_log_events = filter_page
