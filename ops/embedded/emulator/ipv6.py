"""Adds IPv6 to ministack's VPCs, subnets, routes and APIs, as far as Terraform reads it."""

from __future__ import annotations

import json
from ipaddress import IPv6Network
from typing import Any

from ministack.core.responses import json_response
from ministack.services import apigateway, ec2

Record = dict[str, Any]
_BLOCK = "ipv6CidrBlock"


def add_ipv6() -> None:
    """Stores the IPv6 blocks of VPCs and subnets, IPv6 routes, and the address type of APIs."""
    _add_blocks()
    _add_routes()
    _add_address_types()


def _add_blocks() -> None:
    create_vpc, create_subnet = ec2._ACTION_MAP["CreateVpc"], ec2._ACTION_MAP["CreateSubnet"]
    render_vpc, render_subnet = ec2._vpc_fields_xml, ec2._subnet_fields_xml
    # One function of ministack creates a VPC or a subnet and renders the response. The block of the
    # current call is therefore passed in `requested`, and stored when the response is rendered.
    requested: list[str] = []

    def create_vpc_with_block(parameters: Any) -> Any:
        if ec2._p(parameters, "AmazonProvidedIpv6CidrBlock") == "true":
            requested.append("")
        return create_vpc(parameters)

    def create_subnet_with_block(parameters: Any) -> Any:
        if block := ec2._p(parameters, "Ipv6CidrBlock"):
            requested.append(block)
        return create_subnet(parameters)

    def render_vpc_with_block(vpc: Record, tag: str = "item") -> str:
        if tag == "vpc" and requested:
            requested.clear()
            # A block of the range for documentation (RFC 3849), which is not routed.
            digits = vpc["VpcId"][4:10]
            network = IPv6Network(f"2001:db8:{digits[:4]}:{digits[4:]}00::/56")
            vpc[_BLOCK] = str(network)
        more = "<ipv6Pool>Amazon</ipv6Pool><networkBorderGroup>us-east-1</networkBorderGroup>"
        return _with_association(render_vpc(vpc, tag), tag, vpc, vpc["VpcId"], more)

    def render_subnet_with_block(subnet: Record, tag: str = "item") -> str:
        if tag == "subnet" and requested:
            subnet[_BLOCK] = requested.pop()
        return _with_association(render_subnet(subnet, tag), tag, subnet, subnet["SubnetId"], "")

    matches_vpc, matches_subnet = ec2._matches_vpc_filters, ec2._matches_subnet_filters

    def matches_vpc_and_block(vpc: Record, filters: Any) -> bool:
        return _matches_association(vpc["VpcId"], filters) and matches_vpc(vpc, filters)

    def matches_subnet_and_block(subnet: Record, filters: Any) -> bool:
        return _matches_association(subnet["SubnetId"], filters) and matches_subnet(subnet, filters)

    ec2._matches_vpc_filters = matches_vpc_and_block
    ec2._matches_subnet_filters = matches_subnet_and_block
    ec2._ACTION_MAP["CreateVpc"] = create_vpc_with_block
    ec2._ACTION_MAP["CreateSubnet"] = create_subnet_with_block
    ec2._vpc_fields_xml = render_vpc_with_block
    ec2._subnet_fields_xml = render_subnet_with_block


def _matches_association(id_: str, filters: Any) -> bool:
    """Returns True if a VPC or subnet matches the filter with which Terraform waits for its block.

    ministack ignores this filter.
    """
    wanted = filters.get("ipv6-cidr-block-association.association-id")
    return not wanted or f"{id_}-ipv6" in wanted


def _with_association(text: str, tag: str, record: Record, id_: str, more: str) -> str:
    if _BLOCK not in record:
        return text
    association = (
        f"<ipv6CidrBlockAssociationSet><item><associationId>{id_}-ipv6</associationId>"
        f"<{_BLOCK}>{record[_BLOCK]}</{_BLOCK}>"
        f"<ipv6CidrBlockState><state>associated</state></ipv6CidrBlockState>{more}"
        "</item></ipv6CidrBlockAssociationSet>"
    )
    return text.removesuffix(f"</{tag}>") + f"{association}</{tag}>"


def _add_routes() -> None:
    create, delete = ec2._ACTION_MAP["CreateRoute"], ec2._ACTION_MAP["DeleteRoute"]
    destination, gateway = "DestinationIpv6CidrBlock", "EgressOnlyInternetGatewayId"

    def create_any(parameters: Any) -> Any:
        block = ec2._p(parameters, destination)
        table = ec2._route_tables.get(ec2._p(parameters, "RouteTableId"))
        if not block or not table:
            return create(parameters)
        table["Routes"].append(
            {
                destination: block,
                gateway: ec2._p(parameters, gateway),
                "State": "active",
                "Origin": "CreateRoute",
            }
        )
        return ec2._xml(200, "CreateRouteResponse", "<return>true</return>")

    def delete_any(parameters: Any) -> Any:
        block = ec2._p(parameters, destination)
        table = ec2._route_tables.get(ec2._p(parameters, "RouteTableId"))
        if not block or not table:
            return delete(parameters)
        table["Routes"] = [item for item in table["Routes"] if item.get(destination) != block]
        return ec2._xml(200, "DeleteRouteResponse", "<return>true</return>")

    ec2._ACTION_MAP["CreateRoute"] = create_any
    ec2._ACTION_MAP["DeleteRoute"] = delete_any


def _add_address_types() -> None:
    create, update, member = apigateway._create_api, apigateway._update_api, "ipAddressType"

    def create_with_type(data: Record) -> Any:
        status, headers, body = create(data)
        return _with_type(status, headers, body, data.get(member, "ipv4"))

    def update_with_type(api_id: str, data: Record) -> Any:
        status, headers, body = update(api_id, data)
        return _with_type(status, headers, body, data.get(member))

    def _with_type(status: int, headers: Any, body: bytes, type_: str | None) -> Any:
        if status >= 400 or not type_:
            return status, headers, body
        api = apigateway._apis[json.loads(body)["apiId"]]
        api[member] = type_
        return status, headers, json_response(api, status)[2]

    apigateway._create_api = create_with_type
    apigateway._update_api = update_with_type
