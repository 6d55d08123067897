"""The rules that relate an environment's settings to each other."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import combinations
from typing import get_args

from environments.model import (
    API_TIMEOUT,
    DATABASE_FUNCTIONS,
    INCOMPLETE_ZONES,
    OTHER_CONNECTIONS,
    UNRESERVED,
    CapacityRange,
    Environment,
    FunctionName,
)

PAUSING_VERSIONS = {13: 15, 14: 12, 15: 7, 16: 3}
"""The first minor version of Aurora PostgreSQL that can pause, by major version."""

BUCKET_NAME_LENGTH = 63
"""The maximum number of characters in the name of an Amazon S3 bucket."""

LONGEST_BUCKET_NAME = "platform-access-logs-bucket-{name}-{suffix}"

SHORTEST_AI_TIMEOUT = 28
"""The minimum timeout of the ai function in seconds: 25 for the language model's response, and 3
for a cold start and reading the session."""

WITHOUT_GATEWAY: frozenset[FunctionName] = frozenset(
    {"migration", "relay", "statistics", "delivery"}
)
"""Functions that API Gateway never invokes."""

ENDPOINTS = {
    "email": (r"[^@\s]+@[^@\s]+\.[^@\s]+", "an email address"),
    "https": (r"https://[^\s/]+(/\S*)?", "an https URL"),
    "sqs": (r"arn:aws:sqs:[a-z0-9-]+:\d{12}:[\w-]{1,80}", "the ARN of a standard queue"),
    "lambda": (
        r"arn:aws:lambda:[a-z0-9-]+:\d{12}:function:[\w-]+(:[\w$-]+)?",
        "the ARN of a function",
    ),
}
"""For each SNS protocol, the pattern of valid endpoints and its description in error messages.

The SNS API reference (Subscribe) defines the formats.
"""

Violations = Iterator[str]
"""Violations of one rule, each as one line: `key path: value: rule`."""


def broken_rules(environment: Environment, *, is_incomplete: bool = False) -> list[str]:
    """Returns one line for each violated rule.

    Args:
        environment: The environment to check.
        is_incomplete: True if invalid values were removed from the environment (see
            environments/partial.py). Rules that need a removed value are then skipped.
    """
    broken: list[str] = []
    for rule in _rules(environment):
        try:
            broken += rule()
        except AttributeError:
            if not is_incomplete:
                raise
            # The rule needs a value that was removed because it is invalid. Validation reports that
            # value separately.
    return broken


def _rules(environment: Environment) -> Iterator[Callable[[], Iterable[str]]]:
    for rule in (
        _check_origins,
        _check_hosted_zone,
        _check_bucket_names,
        _check_database_capacity,
        _check_zone_ids,
        _check_nat_gateways,
        _check_private_network,
        _check_pause,
        _check_connections,
        _check_ai_timeout,
        _check_endpoints,
        _check_subscribed_once,
    ):
        yield partial(rule, environment)
    for first, second in combinations(("api", "websocket", "cdn", "site"), 2):
        yield partial(_check_distinct_domains, environment, first, second)
    yield lambda: _check_range("dynamodb.read", environment.dynamodb.read)
    yield lambda: _check_range("dynamodb.write", environment.dynamodb.write)
    for function in get_args(FunctionName):
        for function_rule in (
            _check_provisioned,
            _check_unreserved,
            _check_reserved,
            _check_timeout,
        ):
            yield partial(function_rule, environment, function)


def _check_origins(environment: Environment) -> Violations:
    if "*" in environment.cors_origins and len(environment.cors_origins) > 1:
        yield f"cors_origins: {environment.cors_origins}: '*' cannot be combined with other origins"


def _check_hosted_zone(environment: Environment) -> Violations:
    zone = environment.hosted_zone_id
    if (environment.domains is None) != (zone is None):
        yield f"hosted_zone_id: {zone}: set both domains and hosted_zone_id, or neither"


def _check_distinct_domains(environment: Environment, first: str, second: str) -> Violations:
    domains = environment.domains
    if domains is not None and getattr(domains, first) == getattr(domains, second):
        yield f"domains.{second}: {getattr(domains, second)}: must differ from domains.{first}"


def _check_bucket_names(environment: Environment) -> Violations:
    suffix = environment.bucket_suffix
    if suffix is None:
        return
    name = LONGEST_BUCKET_NAME.format(name=environment.name, suffix=suffix)
    if len(name) > BUCKET_NAME_LENGTH:
        most = len(suffix) - (len(name) - BUCKET_NAME_LENGTH)
        yield (
            f"bucket_suffix: {suffix}: must have at most {most} characters, because the bucket name"
            f" {name} may have at most {BUCKET_NAME_LENGTH}"
        )


def _check_database_capacity(environment: Environment) -> Violations:
    rds = environment.rds
    if rds.min_capacity > rds.max_capacity:
        yield (
            f"rds.min_capacity: {rds.min_capacity}: must be at most {rds.max_capacity}, the value"
            " of rds.max_capacity"
        )


def _check_range(path: str, capacity: CapacityRange) -> Violations:
    if capacity.min > capacity.max:
        yield (
            f"{path}.min: {capacity.min}: must be at most {capacity.max}, the value of {path}.max"
        )


def _check_zone_ids(environment: Environment) -> Violations:
    zones, ids = environment.network.availability_zones, environment.zone_ids
    if len(set(ids)) < zones:
        yield (
            f"network.zone_ids: {ids}: {environment.region} needs the ids of {zones} different"
            " availability zones; list the region's zones with"
            " `aws ec2 describe-availability-zones --query"
            " AvailabilityZones[].ZoneId`"
        )
    for zone in sorted(INCOMPLETE_ZONES.intersection(ids)):
        yield f"network.zone_ids: {zone}: lacks NAT gateways; choose another zone"


def _check_nat_gateways(environment: Environment) -> Violations:
    network = environment.network
    if network.nat_gateways > network.availability_zones:
        zones = network.availability_zones
        yield (
            f"network.nat_gateways: {network.nat_gateways}: must be at most {zones}, the value of"
            " network.availability_zones"
        )


def _check_private_network(environment: Environment) -> Violations:
    """Checks that the VPC reaches the internet either through NAT gateways or over IPv6.

    The chat function needs the internet to send frames to clients.
    """
    network = environment.network
    if network.ipv6_egress and network.nat_gateways:
        yield (
            f"network.nat_gateways: {network.nat_gateways}: must be 0 with ipv6_egress, which"
            " replaces NAT gateways"
        )
    if (
        environment.capabilities.private_network
        and not network.ipv6_egress
        and network.nat_gateways == 0
    ):
        yield (
            "network.nat_gateways: 0: must be at least 1 unless network.ipv6_egress is true,"
            " because chat runs in the VPC and reaches the WebSocket API's @connections only"
            " through the internet"
        )


def _check_pause(environment: Environment) -> Violations:
    """Checks that the engine version supports pausing if the minimum capacity is 0.

    The versions are those in the Aurora user guide ("Aurora Serverless v2 capacity").
    """
    rds = environment.rds
    major, minor = (int(part) for part in rds.engine_version.split("."))
    can_pause = major > max(PAUSING_VERSIONS) or minor >= PAUSING_VERSIONS.get(major, math.inf)
    if rds.pauses and not can_pause:
        versions = " or ".join(f"{item}.{first}" for item, first in PAUSING_VERSIONS.items())
        yield (
            f"rds.min_capacity: 0: PostgreSQL {rds.engine_version} cannot pause; set at least 0.5,"
            f" or set rds.engine_version to at least {versions}"
        )


def _check_connections(environment: Environment) -> Violations:
    functions = sum(environment.reserved_concurrency(name) or 0 for name in DATABASE_FUNCTIONS)
    connections, limit = functions + OTHER_CONNECTIONS, environment.rds.connection_limit
    if connections >= limit:
        yield (
            f"rds.max_capacity: {environment.rds.max_capacity}: allows {limit} connections, but"
            f" must allow more than {connections} (the reserved concurrency of"
            f" {', '.join(DATABASE_FUNCTIONS)} plus {OTHER_CONNECTIONS}); raise max_capacity or"
            " lower"
            f" lambdas.functions.{DATABASE_FUNCTIONS[0]}.reserved_concurrency"
        )


def _check_endpoints(environment: Environment) -> Violations:
    for number, subscription in enumerate(environment.notifications.subscriptions):
        pattern, description = ENDPOINTS[subscription.protocol]
        if not re.fullmatch(pattern, subscription.endpoint):
            path = f"notifications.subscriptions.{number}.endpoint"
            yield (
                f"{path}: {subscription.endpoint}: protocol {subscription.protocol} requires"
                f" {description}"
            )


def _check_subscribed_once(environment: Environment) -> Violations:
    """Checks that no endpoint has two subscriptions.

    An SNS topic has at most one subscription per endpoint.
    """
    seen: set[tuple[str, str]] = set()
    for number, subscription in enumerate(environment.notifications.subscriptions):
        key = (subscription.protocol, subscription.endpoint)
        if key in seen:
            yield (
                f"notifications.subscriptions.{number}.endpoint: {subscription.endpoint}:"
                " duplicate endpoint; list all events in one subscription"
            )
        seen.add(key)


def _check_provisioned(environment: Environment, function: FunctionName) -> Violations:
    reserved = environment.reserved_concurrency(function)
    provisioned = environment.provisioned_concurrency(function)
    if reserved is not None and provisioned > reserved:
        given = _value_in_file(environment, function, "provisioned_concurrency") is not None
        setting = (
            f"lambdas.functions.{function}.provisioned_concurrency: {provisioned}"
            if given
            else f"lambdas.provisioned_concurrency: {provisioned} for {function}"
        )
        yield f"{setting}: must be at most {reserved}, the reserved concurrency of {function}"


def _check_unreserved(environment: Environment, function: FunctionName) -> Violations:
    if function not in UNRESERVED:
        return
    for setting in ("reserved_concurrency", "provisioned_concurrency"):
        value = _value_in_file(environment, function, setting)
        if value is not None:
            yield (
                f"lambdas.functions.{function}.{setting}: {value}: remove this key;"
                f" {function} cannot have reserved or provisioned concurrency"
            )


def _check_reserved(environment: Environment, function: FunctionName) -> Violations:
    if function in UNRESERVED:
        return
    own = _value_in_file(environment, function, "reserved_concurrency")
    cap = environment.lambdas.reserved_concurrency
    if own is not None and own > cap:
        yield (
            f"lambdas.functions.{function}.reserved_concurrency: {own}: must be at most"
            f" {cap}, the value of lambdas.reserved_concurrency"
        )


def _check_timeout(environment: Environment, function: FunctionName) -> Violations:
    own = _value_in_file(environment, function, "timeout")
    if function not in WITHOUT_GATEWAY and own is not None and own > API_TIMEOUT:
        yield (
            f"lambdas.functions.{function}.timeout: {own}: must be at most {API_TIMEOUT}, because"
            " API Gateway waits at most 29 s for a function"
        )


def _check_ai_timeout(environment: Environment) -> Violations:
    own = _value_in_file(environment, "ai", "timeout")
    if own is not None and own < SHORTEST_AI_TIMEOUT:
        yield (
            f"lambdas.functions.ai.timeout: {own}: must be at least {SHORTEST_AI_TIMEOUT}, because"
            " a call waits up to 25 s for the language models"
        )


def _value_in_file(environment: Environment, function: FunctionName, setting: str) -> int | None:
    """Returns a function's setting, such as `timeout`, from the environment's file.

    Returns None if the file does not contain the setting.
    """
    functions = environment.lambdas.functions
    value: int | None = getattr(functions[function], setting) if function in functions else None
    return value


def shared_states(environments: Iterable[Environment]) -> list[str]:
    """Returns one line for each environment that uses the state key of another environment."""
    owners: dict[tuple[str, str], str] = {}
    broken: list[str] = []
    for environment in environments:
        state = environment.state
        owner = owners.setdefault((state.bucket, state.key), environment.name)
        if owner != environment.name:
            broken.append(
                f"{environment.name}.yml: state.key: {state.key}: {owner} already uses this key in"
                f" bucket {state.bucket}; omit state.key, or set a unique one"
            )
    return broken
