"""The VPC of the functions chat, delivery, catalog, migration and health."""

from __future__ import annotations

import ipaddress
from typing import Any

from cdktf import Fn
from cdktf_cdktf_provider_aws.default_security_group import DefaultSecurityGroup
from cdktf_cdktf_provider_aws.egress_only_internet_gateway import EgressOnlyInternetGateway
from cdktf_cdktf_provider_aws.eip import Eip
from cdktf_cdktf_provider_aws.flow_log import FlowLog
from cdktf_cdktf_provider_aws.iam_role import IamRole
from cdktf_cdktf_provider_aws.iam_role_policy import IamRolePolicy
from cdktf_cdktf_provider_aws.internet_gateway import InternetGateway
from cdktf_cdktf_provider_aws.nat_gateway import NatGateway
from cdktf_cdktf_provider_aws.route import Route
from cdktf_cdktf_provider_aws.route_table import RouteTable
from cdktf_cdktf_provider_aws.route_table_association import RouteTableAssociation
from cdktf_cdktf_provider_aws.security_group import SecurityGroup
from cdktf_cdktf_provider_aws.subnet import Subnet
from cdktf_cdktf_provider_aws.vpc import Vpc
from cdktf_cdktf_provider_aws.vpc_endpoint import VpcEndpoint
from cdktf_cdktf_provider_aws.vpc_security_group_egress_rule import VpcSecurityGroupEgressRule
from cdktf_cdktf_provider_aws.vpc_security_group_ingress_rule import VpcSecurityGroupIngressRule
from constructs import Construct

from environments import FunctionName
from modules.base.function import FunctionNetwork
from modules.base.log_group import LogGroup
from modules.base.naming import Names, service_tag
from modules.base.policy import Statement, policy_document, trust_policy

CIDR = "10.0.0.0/16"
"""The address range of the VPC, as the specification requires."""
POSTGRESQL_PORT = 5432
CACHE_PORT = 6379

DATABASE_CLIENTS: tuple[FunctionName, ...] = ("catalog", "migration", "health")
CACHE_CLIENTS: tuple[FunctionName, ...] = ("chat", "delivery", "health")
RESTRICTED_EGRESS_FUNCTIONS: tuple[FunctionName, ...] = ("health", "migration")
"""The functions whose security group allows only connections to the services that they use."""

DUAL_STACK_SERVICES = {
    "ssm": "SSM",
    "sqs": "SQS",
    "events": "EVENTBRIDGE",
    "secretsmanager": "SECRETS_MANAGER",
}
"""The AWS services that functions in the VPC call over the internet.

Each value is the service's name in the SDK's variable `AWS_ENDPOINT_URL_<SERVICE>` (AWS SDKs and
Tools Reference Guide, "Service-specific endpoints"). The endpoints with IPv6 are
`<service>.<region>.api.aws`. DynamoDB and S3 are not listed, because they have gateway endpoints.
"""


class Networking(Construct):
    """VPC, subnets, routes, gateways, endpoints, security groups and flow logs.

    Attributes:
        vpc_id: The id of the VPC.
        private_subnet_ids: One subnet per zone, for functions, database and cache.
        database_security_group_id: The security group that accepts connections from the functions
            that use the database.
        cache_security_group_id: The security group that accepts connections from the functions that
            use the cache.
    """

    def __init__(self, scope: Construct, id_: str, *, names: Names) -> None:
        super().__init__(scope, id_)
        environment = names.environment
        self._names = names
        self._environment = environment
        zones = environment.zone_ids
        self._vpc = Vpc(
            self,
            "vpc",
            cidr_block=CIDR,
            enable_dns_hostnames=True,
            enable_dns_support=True,
            assign_generated_ipv6_cidr_block=environment.network.ipv6_egress or None,
            tags=self._tags("vpc"),
        )
        self.vpc_id: str = self._vpc.id
        # Removes all rules of the VPC's default security group, which no resource uses.
        DefaultSecurityGroup(self, "default-security-group", vpc_id=self.vpc_id)
        blocks = list(ipaddress.IPv4Network(CIDR).subnets(new_prefix=20))
        private = self._subnets("private", zones, blocks[: len(zones)])
        self.private_subnet_ids: list[str] = [subnet.id for subnet in private]
        private_tables = self._private_routes(private)
        if environment.network.nat_gateways:
            self._nat_gateways(
                zones, blocks[8 : 8 + environment.network.nat_gateways], private_tables
            )
        if environment.network.ipv6_egress:
            self._egress_only_gateway(private_tables)
        gateways = self._gateway_endpoints(private_tables)
        self._flow_log()

        # The health function does not connect to a database that can pause, because a connection
        # would resume the database.
        self._database_clients = tuple(
            client
            for client in DATABASE_CLIENTS
            if client != "health" or not environment.rds.pauses
        )
        self._function_groups = {
            function: self._security_group(function, f"Security group of the {function} function")
            for function in dict.fromkeys((*DATABASE_CLIENTS, *CACHE_CLIENTS))
        }
        self.database_security_group_id = self._client_group(
            "database", POSTGRESQL_PORT, self._database_clients
        )
        self.cache_security_group_id = self._client_group("cache", CACHE_PORT, CACHE_CLIENTS)
        endpoints_group_id = self._interface_endpoints()
        self._allow_egress(gateways["dynamodb"], endpoints_group_id)

    def function_network(self, function: FunctionName) -> FunctionNetwork:
        """Returns the subnets and security group of a function in the VPC.

        Raises:
            KeyError: The function is not in the VPC.
        """
        return FunctionNetwork(
            subnet_ids=self.private_subnet_ids,
            security_group_ids=[self._function_groups[function].id],
            has_ipv6=self._environment.network.ipv6_egress,
            variables=self._dual_stack_endpoints(),
        )

    def _dual_stack_endpoints(self) -> dict[str, str]:
        """Returns the variables that make the SDK call services at endpoints with IPv6."""
        environment = self._environment
        network = environment.network
        if not network.ipv6_egress or environment.endpoints.aws:
            return {}
        return {
            f"AWS_ENDPOINT_URL_{name}": f"https://{service}.{environment.region}.api.aws"
            for service, name in DUAL_STACK_SERVICES.items()
            if service not in network.interface_endpoints
        }

    def _tags(self, resource: str) -> dict[str, str]:
        return {"Name": self._names.of("platform", resource), **service_tag("platform")}

    def _subnets(
        self, kind: str, zones: list[str], blocks: list[ipaddress.IPv4Network]
    ) -> list[Subnet]:
        return [
            Subnet(
                self,
                f"{kind}-{index}",
                vpc_id=self.vpc_id,
                availability_zone_id=zone,
                cidr_block=str(block),
                ipv6_cidr_block=self._ipv6_block(index),
                map_public_ip_on_launch=False,
                tags=self._tags(f"{kind}-subnet-{zone}"),
            )
            for index, (zone, block) in enumerate(zip(zones, blocks, strict=False))
        ]

    def _ipv6_block(self, index: int) -> str | None:
        """Returns one of the 256 /64 blocks of the VPC's /56 block, or None without IPv6.

        A function can use IPv6 only if its subnets have such a block.
        """
        if not self._environment.network.ipv6_egress:
            return None
        return str(Fn.cidrsubnet(self._vpc.ipv6_cidr_block, 8, index))

    def _private_routes(self, subnets: list[Subnet]) -> list[RouteTable]:
        """Creates a route table per zone, so that each zone can have its own NAT gateway."""
        tables = []
        for index, subnet in enumerate(subnets):
            table = RouteTable(
                self,
                f"private-routes-{index}",
                vpc_id=self.vpc_id,
                tags=self._tags(f"private-routes-{index}"),
            )
            RouteTableAssociation(
                self, f"private-route-{index}", subnet_id=subnet.id, route_table_id=table.id
            )
            tables.append(table)
        return tables

    def _nat_gateways(
        self,
        zones: list[str],
        blocks: list[ipaddress.IPv4Network],
        private_tables: list[RouteTable],
    ) -> None:
        """Creates NAT gateways in public subnets. Zones without one use another zone's gateway."""
        internet = InternetGateway(
            self, "internet", vpc_id=self.vpc_id, tags=self._tags("internet-gateway")
        )
        routes = RouteTable(
            self, "public-routes", vpc_id=self.vpc_id, tags=self._tags("public-routes")
        )
        Route(
            self,
            "public-default",
            route_table_id=routes.id,
            destination_cidr_block="0.0.0.0/0",
            gateway_id=internet.id,
        )
        gateways = []
        for index, subnet in enumerate(self._subnets("public", zones, blocks)):
            RouteTableAssociation(
                self, f"public-route-{index}", subnet_id=subnet.id, route_table_id=routes.id
            )
            address = Eip(
                self, f"nat-address-{index}", domain="vpc", tags=self._tags(f"nat-address-{index}")
            )
            gateways.append(
                NatGateway(
                    self,
                    f"nat-{index}",
                    subnet_id=subnet.id,
                    allocation_id=address.id,
                    tags=self._tags(f"nat-{index}"),
                    depends_on=[internet],
                )
            )
        for index, table in enumerate(private_tables):
            Route(
                self,
                f"private-default-{index}",
                route_table_id=table.id,
                destination_cidr_block="0.0.0.0/0",
                nat_gateway_id=gateways[index % len(gateways)].id,
            )

    def _egress_only_gateway(self, private_tables: list[RouteTable]) -> None:
        """Routes outbound IPv6 traffic to the internet, through a gateway that accepts no
        connections from the internet.
        """
        gateway = EgressOnlyInternetGateway(
            self, "egress-only", vpc_id=self.vpc_id, tags=self._tags("egress-only-gateway")
        )
        for index, table in enumerate(private_tables):
            Route(
                self,
                f"private-ipv6-{index}",
                route_table_id=table.id,
                destination_ipv6_cidr_block="::/0",
                egress_only_gateway_id=gateway.id,
            )

    def _gateway_endpoints(self, tables: list[RouteTable]) -> dict[str, VpcEndpoint]:
        return {
            service: VpcEndpoint(
                self,
                f"{service}-endpoint",
                vpc_id=self.vpc_id,
                service_name=f"com.amazonaws.{self._environment.region}.{service}",
                vpc_endpoint_type="Gateway",
                route_table_ids=[table.id for table in tables],
                tags=self._tags(f"{service}-endpoint"),
            )
            for service in ("s3", "dynamodb")
        }

    def _allow_egress(self, dynamodb: VpcEndpoint, endpoints_group_id: str | None) -> None:
        """Allows the connections that each function opens.

        Chat, delivery and catalog call many services of AWS. Health and migration may connect only
        to their data stores and DynamoDB, and migration also to Secrets Manager. If the target
        cloud lacks the capability `private_network`, egress rules have no effect, so all functions
        have the same rules. Functions use IPv6 only to call public endpoints, so the IPv6 rule
        allows only HTTPS.
        """
        ipv6 = self._environment.network.ipv6_egress
        restricted = (
            RESTRICTED_EGRESS_FUNCTIONS if self._environment.capabilities.private_network else ()
        )
        for function in self._function_groups:
            if function not in restricted:
                self._egress(
                    function,
                    "egress",
                    "The VPC and its endpoints"
                    if ipv6
                    else "Anywhere, through endpoints and NAT gateways",
                    ip_protocol="-1",
                    cidr_ipv4="0.0.0.0/0",
                )
                if ipv6:
                    self._egress(
                        function, "internet", "HTTPS over IPv6", port=443, cidr_ipv6="::/0"
                    )
                continue
            self._egress(
                function, "dynamodb", "DynamoDB", port=443, prefix_list_id=dynamodb.prefix_list_id
            )
            if function in self._database_clients:
                self._egress(
                    function,
                    "database",
                    "The database",
                    port=POSTGRESQL_PORT,
                    referenced_security_group_id=self.database_security_group_id,
                )
            if function in CACHE_CLIENTS:
                self._egress(
                    function,
                    "cache",
                    "The cache",
                    port=CACHE_PORT,
                    referenced_security_group_id=self.cache_security_group_id,
                )
        if "migration" not in restricted:
            return
        endpoint = "secretsmanager" in self._environment.network.interface_endpoints
        self._egress(
            "migration",
            "secrets",
            "Secrets Manager"
            if endpoint
            else f"Secrets Manager, {'over IPv6' if ipv6 else 'through a NAT gateway'}",
            port=443,
            referenced_security_group_id=endpoints_group_id if endpoint else None,
            cidr_ipv4=None if endpoint or ipv6 else "0.0.0.0/0",
            cidr_ipv6="::/0" if ipv6 and not endpoint else None,
        )

    def _egress(
        self,
        function: FunctionName,
        id_: str,
        description: str,
        *,
        port: int | None = None,
        ip_protocol: str = "tcp",
        **target: Any,
    ) -> None:
        VpcSecurityGroupEgressRule(
            self,
            f"{function}-{id_}" if id_ == "egress" else f"{function}-to-{id_}",
            security_group_id=self._function_groups[function].id,
            description=description,
            ip_protocol=ip_protocol,
            from_port=port,
            to_port=port,
            **target,
        )

    def _interface_endpoints(self) -> str | None:
        """Creates the VPC's interface endpoints.

        Returns their security group's id, or None without endpoints.
        """
        services = self._environment.network.interface_endpoints
        if not services:
            return None
        group = self._security_group("endpoints", "Security group of the interface endpoints")
        VpcSecurityGroupIngressRule(
            self,
            "endpoints-https",
            security_group_id=group.id,
            description="HTTPS from the VPC",
            ip_protocol="tcp",
            from_port=443,
            to_port=443,
            cidr_ipv4=CIDR,
        )
        for service in services:
            VpcEndpoint(
                self,
                f"{service}-endpoint",
                vpc_id=self.vpc_id,
                service_name=f"com.amazonaws.{self._environment.region}.{service}",
                vpc_endpoint_type="Interface",
                private_dns_enabled=True,
                subnet_ids=self.private_subnet_ids,
                security_group_ids=[group.id],
                tags=self._tags(f"{service}-endpoint"),
            )
        return str(group.id)

    def _flow_log(self) -> None:
        """Creates the VPC's flow log, with the environment's retention period of logs."""
        group = LogGroup(
            self,
            "flow-logs",
            environment=self._environment,
            name=f"/aws/vpc/{self._names.of('platform', 'flow-logs')}",
            service="platform",
        )
        role = IamRole(
            self,
            "flow-logs-role",
            name=self._names.of("platform", "flow-logs-role"),
            assume_role_policy=trust_policy(
                "vpc-flow-logs.amazonaws.com",
                conditions={"StringEquals": {"aws:SourceAccount": self._environment.account_id}},
            ),
            tags=service_tag("platform"),
        )
        IamRolePolicy(
            self,
            "flow-logs-policy",
            name=self._names.of("platform", "flow-logs-policy"),
            role=role.name,
            policy=policy_document(
                [
                    Statement(
                        sid="Write",
                        actions=[
                            "logs:CreateLogGroup",
                            "logs:CreateLogStream",
                            "logs:PutLogEvents",
                            "logs:DescribeLogStreams",
                        ],
                        resources=[group.arn, f"{group.arn}:*"],
                    ),
                    # This action has no resource-level permissions.
                    Statement(sid="Find", actions=["logs:DescribeLogGroups"], resources=["*"]),
                ]
            ),
        )
        FlowLog(
            self,
            "flow-log",
            vpc_id=self.vpc_id,
            traffic_type="ALL",
            log_destination_type="cloud-watch-logs",
            log_destination=group.arn,
            iam_role_arn=role.arn,
            tags=self._tags("flow-log"),
        )

    def _security_group(self, name: str, description: str) -> SecurityGroup:
        return SecurityGroup(
            self,
            f"{name}-security-group",
            name=self._names.of(name, "security-group"),
            description=description,
            vpc_id=self.vpc_id,
            tags={"Name": self._names.of(name, "security-group"), **service_tag(name)},
        )

    def _client_group(self, name: str, port: int, clients: tuple[FunctionName, ...]) -> str:
        """Creates a security group that accepts only connections from `clients` to `port`."""
        group = self._security_group(name, f"Security group of the {name}")
        for client in clients:
            VpcSecurityGroupIngressRule(
                self,
                f"{name}-from-{client}",
                security_group_id=group.id,
                description=f"From the {client} function",
                ip_protocol="tcp",
                from_port=port,
                to_port=port,
                referenced_security_group_id=self._function_groups[client].id,
            )
        return group.id
