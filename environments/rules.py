"""What must hold between the values of an environment, each rule on its own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import combinations
from typing import get_args

from environments.model import (
    API_TIMEOUT,
    DATABASE_FUNCTIONS,
    UNRESERVED,
    UNRESERVED_CONNECTIONS,
    CapacityRange,
    Environment,
    FunctionName,
)

BUCKET_NAME_LENGTH = 63
"""Characters of a bucket's name at most (Amazon S3)."""

LONGEST_BUCKET_NAME = "platform-access-logs-bucket-{name}-{suffix}"

SHORTEST_AI_TIMEOUT = 28
"""Seconds: the 25 of a call, and what comes before them: the start and the reading of the session."""

WITHOUT_GATEWAY: frozenset[FunctionName] = frozenset(
    {"migration", "relay", "statistics", "delivery"}
)
"""Functions that API Gateway never calls."""

ENDPOINTS = {
    "email": (r"[^@\s]+@[^@\s]+\.[^@\s]+", "an address"),
    "https": (r"https://[^\s/]+(/\S*)?", "an https URL"),
    "sqs": (r"arn:aws:sqs:[a-z0-9-]+:\d{12}:[\w-]{1,80}", "the ARN of a standard queue"),
    "lambda": (
        r"arn:aws:lambda:[a-z0-9-]+:\d{12}:function:[\w-]+(:[\w$-]+)?",
        "the ARN of a function",
    ),
}
"""What the endpoint of each protocol looks like, as an expression and in words (Amazon SNS, Subscribe)."""

Broken = Iterator[str]
"""One line for each breach: `key path: value: what is allowed`."""


def broken_rules(environment: Environment, *, in_part: bool = False) -> list[str]:
    """What is wrong between values.

    Args:
        environment: what to check.
        in_part: it is only valid in part (environments/partial.py): the rules are checked whose values are valid.
    """
    broken: list[str] = []
    for rule in _rules(environment):
        try:
            broken += rule()
        except AttributeError:
            if not in_part:
                raise
            # A value the rule is about is invalid itself, and reported as such.
    return broken


def _rules(environment: Environment) -> Iterator[Callable[[], Iterable[str]]]:
    for rule in (
        _origins,
        _zone,
        _bucket_names,
        _database_capacity,
        _nat_gateways,
        _private_network,
        _connections,
        _ai_timeout,
        _endpoints,
        _subscribed_once,
    ):
        yield partial(rule, environment)
    for first, second in combinations(("api", "websocket", "cdn", "site"), 2):
        yield partial(_distinct, environment, first, second)
    yield lambda: _ordered("dynamodb.read", environment.dynamodb.read)
    yield lambda: _ordered("dynamodb.write", environment.dynamodb.write)
    for function in get_args(FunctionName):
        for function_rule in (_provisioned, _unreserved, _reserved, _timeout):
            yield partial(function_rule, environment, function)


def _origins(environment: Environment) -> Broken:
    if "*" in environment.cors_origins and len(environment.cors_origins) > 1:
        yield f"cors_origins: {environment.cors_origins}: '*' stands alone or not at all"


def _zone(environment: Environment) -> Broken:
    zone = environment.hosted_zone_id
    if (environment.domains is None) != (zone is None):
        yield f"hosted_zone_id: {zone}: domains and hosted_zone_id go together; give both or neither"


def _distinct(environment: Environment, first: str, second: str) -> Broken:
    domains = environment.domains
    if domains is not None and getattr(domains, first) == getattr(domains, second):
        yield f"domains.{second}: {getattr(domains, second)}: not the same as domains.{first}"


def _bucket_names(environment: Environment) -> Broken:
    suffix = environment.bucket_suffix
    if suffix is None:
        return
    name = LONGEST_BUCKET_NAME.format(name=environment.name, suffix=suffix)
    if len(name) > BUCKET_NAME_LENGTH:
        most = len(suffix) - (len(name) - BUCKET_NAME_LENGTH)
        yield f"bucket_suffix: {suffix}: at most {most} characters, so that {name} has no more than {BUCKET_NAME_LENGTH}"


def _database_capacity(environment: Environment) -> Broken:
    rds = environment.rds
    if rds.min_capacity > rds.max_capacity:
        yield f"rds.min_capacity: {rds.min_capacity}: not above max_capacity, {rds.max_capacity}"


def _ordered(path: str, capacity: CapacityRange) -> Broken:
    if capacity.min > capacity.max:
        yield f"{path}.min: {capacity.min}: not above max, {capacity.max}"


def _nat_gateways(environment: Environment) -> Broken:
    network = environment.network
    if network.nat_gateways > network.availability_zones:
        zones = network.availability_zones
        yield f"network.nat_gateways: {network.nat_gateways}: at most one for each of the {zones} availability_zones"


def _private_network(environment: Environment) -> Broken:
    """Chat posts to @connections, which only a NAT gateway leads to from inside the VPC."""
    if environment.capabilities.private_network and environment.network.nat_gateways == 0:
        yield (
            "network.nat_gateways: 0: chat runs in the VPC and reaches the WebSocket API's @connections only through a NAT gateway;"
            " at least 1"
        )


def _connections(environment: Environment) -> Broken:
    functions = sum(environment.reserved_concurrency(name) or 0 for name in DATABASE_FUNCTIONS)
    connections, limit = functions + UNRESERVED_CONNECTIONS, environment.rds.connection_limit
    if connections >= limit:
        yield (
            f"rds.max_capacity: {environment.rds.max_capacity}: allows {limit} connections, fewer than the {connections}"
            f" that reserved concurrency of {', '.join(DATABASE_FUNCTIONS)} can open; raise max_capacity or lower"
            f" lambdas.functions.{DATABASE_FUNCTIONS[0]}.reserved_concurrency"
        )


def _endpoints(environment: Environment) -> Broken:
    for number, subscription in enumerate(environment.notifications.subscriptions):
        pattern, words = ENDPOINTS[subscription.protocol]
        if not re.fullmatch(pattern, subscription.endpoint):
            place = f"notifications.subscriptions.{number}.endpoint"
            yield f"{place}: {subscription.endpoint}: for protocol {subscription.protocol} {words}"


def _subscribed_once(environment: Environment) -> Broken:
    """SNS keeps one subscription for each endpoint: a second one would change the first."""
    seen: set[tuple[str, str]] = set()
    for number, subscription in enumerate(environment.notifications.subscriptions):
        key = (subscription.protocol, subscription.endpoint)
        if key in seen:
            yield (
                f"notifications.subscriptions.{number}.endpoint: {subscription.endpoint}: subscribed once, with all its events"
            )
        seen.add(key)


def _provisioned(environment: Environment, function: FunctionName) -> Broken:
    reserved, provisioned = (
        environment.reserved_concurrency(function),
        environment.provisioned_concurrency(function),
    )
    if reserved is not None and provisioned > reserved:
        given = _given(environment, function, "provisioned_concurrency") is not None
        place = (
            f"lambdas.functions.{function}.provisioned_concurrency: {provisioned}"
            if given
            else f"lambdas.provisioned_concurrency: {provisioned} for {function}"
        )
        yield f"{place}: at most its reserved concurrency, {reserved}"


def _unreserved(environment: Environment, function: FunctionName) -> Broken:
    if function not in UNRESERVED:
        return
    for size in ("reserved_concurrency", "provisioned_concurrency"):
        value = _given(environment, function, size)
        if value is not None:
            yield f"lambdas.functions.{function}.{size}: {value}: not given for {function}, which never takes any"


def _reserved(environment: Environment, function: FunctionName) -> Broken:
    if function in UNRESERVED:
        return
    own = _given(environment, function, "reserved_concurrency")
    cap = environment.lambdas.reserved_concurrency
    if own is not None and own > cap:
        yield f"lambdas.functions.{function}.reserved_concurrency: {own}: at most lambdas.reserved_concurrency, {cap}"


def _timeout(environment: Environment, function: FunctionName) -> Broken:
    own = _given(environment, function, "timeout")
    if function not in WITHOUT_GATEWAY and own is not None and own > API_TIMEOUT:
        yield (
            f"lambdas.functions.{function}.timeout: {own}: at most {API_TIMEOUT}: API Gateway waits no longer than 29 s for a function"
        )


def _ai_timeout(environment: Environment) -> Broken:
    own = _given(environment, "ai", "timeout")
    if own is not None and own < SHORTEST_AI_TIMEOUT:
        yield f"lambdas.functions.ai.timeout: {own}: at least {SHORTEST_AI_TIMEOUT}: a call waits up to 25 s for the language models"


def _given(environment: Environment, function: FunctionName, size: str) -> int | None:
    """What the file itself says of a function."""
    functions = environment.lambdas.functions
    value: int | None = getattr(functions[function], size) if function in functions else None
    return value


def shared_states(environments: Iterable[Environment]) -> list[str]:
    """One line for each two environments that would overwrite each other's state."""
    owners: dict[tuple[str, str], str] = {}
    broken: list[str] = []
    for environment in environments:
        state = environment.state
        owner = owners.setdefault((state.bucket, state.key), environment.name)
        if owner != environment.name:
            broken.append(
                f"{environment.name}.yml: state.key: {state.key}: the state of {owner} too, in bucket {state.bucket};"
                " leave state.key out, or give each its own"
            )
    return broken
