"""What must hold between the values of an environment, each rule on its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import get_args

from environments.model import DATABASE_FUNCTIONS, UNRESERVED_CONNECTIONS, CapacityRange, Environment, FunctionName

Broken = Iterator[str]
"""One line for each breach: `key path: value: what is allowed`."""


def broken_rules(environment: Environment) -> list[str]:
    """What is wrong between values.

    Of an environment that is valid in part (environments/partial.py) the rules are checked whose values are valid.
    """
    broken: list[str] = []
    for rule in _rules(environment):
        try:
            broken += rule()
        except AttributeError:  # a value the rule is about is invalid itself, and reported as such
            continue
    return broken


def _rules(environment: Environment) -> Iterator[Callable[[], Iterable[str]]]:
    for rule in (_origins, _zone, _database_capacity, _nat_gateways, _private_network, _connections):
        yield partial(rule, environment)
    yield lambda: _ordered("dynamodb.read", environment.dynamodb.read)
    yield lambda: _ordered("dynamodb.write", environment.dynamodb.write)
    for function in get_args(FunctionName):
        yield partial(_provisioned, environment, function)


def _origins(environment: Environment) -> Broken:
    if "*" in environment.cors_origins and len(environment.cors_origins) > 1:
        yield f"cors_origins: {environment.cors_origins}: '*' stands alone or not at all"


def _zone(environment: Environment) -> Broken:
    zone = environment.hosted_zone_id
    if (environment.domains is None) != (zone is None):
        yield f"hosted_zone_id: {zone}: domains and hosted_zone_id go together; give both or neither"


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


def _provisioned(environment: Environment, function: FunctionName) -> Broken:
    reserved, provisioned = environment.reserved_concurrency(function), environment.provisioned_concurrency(function)
    if reserved is not None and provisioned > reserved:
        own = environment.lambdas.functions.get(function)
        given = own is not None and own.provisioned_concurrency is not None
        place = (
            f"lambdas.functions.{function}.provisioned_concurrency: {provisioned}"
            if given
            else f"lambdas.provisioned_concurrency: {provisioned} for {function}"
        )
        yield f"{place}: at most its reserved concurrency, {reserved}"
