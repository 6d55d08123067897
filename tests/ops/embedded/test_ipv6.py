"""Tests what the emulator returns for networks with IPv6."""

from __future__ import annotations

from tests.ops.embedded.scripts import run


def test_vpcs_subnets_and_routes_keep_their_ipv6_blocks() -> None:
    output = run("""
        import re
        from ministack.services import ec2
        from ops.embedded.emulator import ipv6
        ipv6.add_ipv6()

        def call(action, **parameters):
            items = {key: [value] for key, value in parameters.items()}
            return ec2._ACTION_MAP[action](items)[2].decode()

        def blocks(text):
            return re.findall("<ipv6CidrBlock>(.*?)</ipv6CidrBlock>", text)

        plain = call("CreateVpc", CidrBlock="10.1.0.0/16")
        created = call("CreateVpc", CidrBlock="10.0.0.0/16", AmazonProvidedIpv6CidrBlock="true")
        [block] = blocks(created)
        print(blocks(plain), block.startswith("2001:db8:"), block.endswith("/56"))
        vpc = re.search("<vpcId>(.*?)</vpcId>", created)[1]
        print(blocks(call("DescribeVpcs")) == [block])
        name = "ipv6-cidr-block-association.association-id"
        match = call("DescribeVpcs", **{"Filter.1.Name": name, "Filter.1.Value.1": f"{vpc}-ipv6"})
        print(re.findall("<vpcId>(.*?)</vpcId>", match) == [vpc])
        subnet_block = block.replace("/56", "/64")
        print(blocks(call("CreateSubnet", VpcId=vpc, CidrBlock="10.0.0.0/20")))
        call("CreateSubnet", VpcId=vpc, CidrBlock="10.0.16.0/20", Ipv6CidrBlock=subnet_block)
        print(blocks(call("DescribeSubnets")) == [subnet_block])
        table = re.search("<routeTableId>(.*?)<", call("CreateRouteTable", VpcId=vpc))[1]
        call("CreateRoute", RouteTableId=table, DestinationIpv6CidrBlock="::/0",
             EgressOnlyInternetGatewayId="eigw-1")
        gateway = "<egressOnlyInternetGatewayId>eigw-1<"
        print(gateway in call("DescribeRouteTables"))
        call("DeleteRoute", RouteTableId=table, DestinationIpv6CidrBlock="::/0")
        print(gateway in call("DescribeRouteTables"))
    """)
    assert output.splitlines() == ["[] True True", "True", "True", "[]", "True", "True", "False"]


def test_apis_keep_their_address_type_and_clusters_their_pause_settings() -> None:
    output = run("""
        import json
        from ministack.services import apigateway, rds
        from ops.embedded.emulator import corrections, ipv6
        ipv6.add_ipv6()
        corrections.store_auto_pause()
        data = {"name": "a", "protocolType": "WEBSOCKET", "ipAddressType": "dualstack"}
        api = json.loads(apigateway._create_api(data)[2])
        print(api["ipAddressType"])
        print(json.loads(apigateway._get_api(api["apiId"])[2])["ipAddressType"])
        apigateway._update_api(api["apiId"], {"ipAddressType": "ipv4"})
        print(json.loads(apigateway._get_api(api["apiId"])[2])["ipAddressType"])
        prefix = "ServerlessV2ScalingConfiguration."
        values = {"MinCapacity": "0", "MaxCapacity": "1", "SecondsUntilAutoPause": "300"}
        capacity = rds._serverlessv2_from_params({prefix + k: [v] for k, v in values.items()})
        text = rds._serverlessv2_xml({"ServerlessV2ScalingConfiguration": capacity})
        print("<SecondsUntilAutoPause>300</SecondsUntilAutoPause>" in text)
    """)
    assert output.splitlines() == ["dualstack", "dualstack", "ipv4", "True"]
