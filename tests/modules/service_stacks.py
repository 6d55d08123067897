"""Synthesizes both APIs and all services in one stack, with fixed values in place of the resources
of other modules.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cdktf import TerraformOutput, TerraformStack
from cdktf_cdktf_provider_aws.provider import AwsProvider
from constructs import Construct

from environments import Environment, FunctionName
from modules.api.rest import RestApi
from modules.api.websocket import WebSocketApi
from modules.base.bucket import Bucket
from modules.base.connections import CacheConnection, DatabaseConnection
from modules.base.function import FunctionNetwork, LambdaFunction
from modules.base.naming import Names
from modules.base.queue import Queue
from modules.base.table import Table, TableDefinition
from modules.services.ai import Ai
from modules.services.auth import Auth
from modules.services.catalog import Catalog
from modules.services.chat import Chat
from modules.services.delivery import Delivery
from modules.services.post import Post
from modules.services.profile import Profile
from modules.services.service import ServicePlatform
from modules.tables import TABLES
from tests.modules.synthesis import Block, Synthesized, function_platform, synthesize

CACHE = "arn:aws:elasticache:us-east-1:111122223333"


@dataclass(frozen=True)
class Route:
    """A method of the REST API and its integration."""

    method: Block
    integration: Block


def synthesize_services(
    env: Environment,
    artifacts: Path,
    add_constructs: Callable[
        [TerraformStack, ServicePlatform], object
    ] = lambda _stack, _platform: None,
) -> Synthesized:
    """Synthesizes both APIs, all services, and the constructs that `add_constructs` adds."""

    def build(stack: TerraformStack, env: Environment, names: Names) -> None:
        shared = function_platform(env, artifacts)
        edge = AwsProvider(stack, "edge", alias="edge", region="us-east-1")
        rest = RestApi(
            stack,
            "rest",
            names=names,
            web_acl_arn="arn:aws:wafv2:us-east-1:111122223333:regional/webacl/multitask-waf/1",
            edge_provider=edge,
        )
        websocket = WebSocketApi(stack, "websocket", names=names)
        platform = ServicePlatform(
            **vars(shared),
            rest_api=rest,
            tables={d.name: _table(names, d) for d in TABLES},
            bus_name=names.of("multitask", "events"),
            bus_arn=names.arn("events", "event-bus/multitask-events"),
        )

        def function(name: FunctionName) -> LambdaFunction:
            return LambdaFunction(stack, name, platform=platform, function=name, description=name)

        def bucket(name: str) -> Bucket:
            return Bucket(stack, name, name=name, service="profile", retain=False)

        avatars, attachments = bucket("avatars"), bucket("attachments")
        network = FunctionNetwork(["subnet-a"], ["sg-a"])
        cache = CacheConnection(
            "cache:6379",
            "chat-cache",
            f"{CACHE}:replicationgroup:chat-cache",
            "chat-cache-user",
            f"{CACHE}:user:chat-cache-user",
        )
        authorizer, health = function("authorizer"), function("health")
        rest.use_authorizer(authorizer)
        rest.add_health(Construct(stack, "health-routes"), health)
        Auth(
            stack,
            "auth",
            platform=platform,
            user_pool_id="pool",
            user_pool_arn=names.arn("cognito-idp", "userpool/pool"),
            user_pool_client_id="client",
        )
        Profile(
            stack,
            "profile",
            platform=platform,
            avatars=avatars,
            attachments=attachments,
            cdn_domain="cdn.test",
        )
        delivery = Delivery(
            stack,
            "delivery",
            platform=platform,
            websocket_api=websocket,
            tables=platform.tables,
            attachments=attachments,
            cache=cache,
            network=network,
            kms_key_arn="arn:aws:kms:key",
        )
        Chat(
            stack,
            "chat",
            platform=platform,
            websocket_api=websocket,
            authorizer=authorizer,
            attachments=attachments,
            cache=cache,
            delivery=delivery,
            network=network,
        )
        deletions = Queue(
            stack,
            "post-deletions",
            names=names,
            service="post",
            resource="deletions",
            kms_key_arn=names.arn("kms", "key/1"),
            alerts_topic_arn=platform.alerts_topic_arn,
        )
        Post(
            stack,
            "post",
            platform=platform,
            attachments=attachments,
            cdn_domain="cdn.test",
            deletions=deletions,
        )
        Catalog(
            stack,
            "catalog",
            platform=platform,
            database=DatabaseConnection(
                "db:5432", "multitask_dev", "cluster-A1", "arn:aws:secretsmanager:s"
            ),
            attachments=attachments,
            cdn_domain="cdn.test",
            network=network,
            kms_key_arn=names.arn("kms", "key/k"),
        )
        Ai(stack, "ai", platform=platform)
        add_constructs(stack, platform)
        rest.deploy()
        for name, value in {
            "api_url": rest.url,
            "stage_arn": rest.stage_arn,
            "ws_url": websocket.url,
            "management_endpoint": websocket.management_endpoint,
        }.items():
            TerraformOutput(stack, name, value=value)

    return synthesize(build, env)


def _table(names: Names, definition: TableDefinition) -> Table:
    name = names.of(definition.service, definition.resource)
    arn = names.arn("dynamodb", f"table/{name}")
    return Table(name, definition.resource, arn, [f"{arn}/index/an-index"], f"{arn}/stream/1")


def label(reference: str) -> str:
    """Returns the label in a reference such as `${aws_x.label.id}`."""
    match = re.search(r"\$\{aws_\w+\.([\w-]+)\.", reference)
    assert match, f"no reference: {reference}"
    return match[1]


def rest_routes(result: Synthesized) -> dict[tuple[str, str], Route]:
    """Returns the REST API's routes by method and path."""
    resources = result.document["resource"]["aws_api_gateway_resource"]

    def path(reference: str) -> str:
        if "root_resource_id" in reference:
            return ""
        resource = resources[label(reference)]
        return f"{path(resource['parent_id'])}/{resource['path_part']}"

    methods = result.document["resource"]["aws_api_gateway_method"]
    return {
        (
            methods[label(integration["http_method"])]["http_method"],
            path(integration["resource_id"]),
        ): Route(methods[label(integration["http_method"])], integration)
        for integration in result.all("aws_api_gateway_integration")
    }


def function_name(result: Synthesized, reference: str) -> str:
    """Returns the name of a Lambda function. The reference points to its alias `live`."""
    alias = result.document["resource"]["aws_lambda_alias"][label(reference)]
    assert alias["name"] == "live"
    name: str = result.document["resource"]["aws_lambda_function"][label(alias["function_name"])][
        "function_name"
    ]
    return name
