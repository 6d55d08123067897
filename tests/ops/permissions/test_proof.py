"""Tests that the comparison of policies agrees with an independent simulator of IAM."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.ops.permissions.generated_policies import Block
from tests.ops.permissions.proof import check, prove
from tests.ops.permissions.simulator import Simulator, for_simulator

SEEDS = range(5)


def test_no_newly_allowed_request_is_missed() -> None:
    statistics = prove(2000, is_repeatable=True)
    assert statistics["pairs that allow more requests"] > 400
    assert statistics["pairs that allow fewer requests"] > 400
    assert statistics["pairs called the same"] > 50


@pytest.mark.nightly
@pytest.mark.timeout(4 * 3600)
def test_no_newly_allowed_request_is_missed_in_any_of_100_000_pairs() -> None:
    statistics = prove(100_000, is_repeatable=False)
    assert statistics["pairs that allow more requests"] > 25_000


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    simulator = Simulator()
    yield simulator
    simulator.close()


def policy(**parts: Any) -> Block:
    whole = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*", **parts}
    for name in ("Resource", "Principal"):
        if f"Not{name}" in parts:
            whole.pop(name, None)
    return {"Version": "2012-10-17", "Statement": [whole]}


def with_condition(operator: str, values: Any, key: str = "aws:TagKeys") -> Block:
    return policy(Condition={operator: {key: values}})


OBJECT = policy(Resource="arn:aws:s3:::files/a")
DIFFERENT: list[Any] = [
    pytest.param(
        with_condition("StringLikeIfExists", "*"),
        policy(),
        id="a list of values does not meet a single-value operator",
    ),
    pytest.param(
        with_condition("ForAnyValue:StringLikeIfExists", "a"),
        with_condition("Null", "true"),
        id="IfExists after ForAnyValue",
    ),
    pytest.param(
        with_condition("BoolIfExists", ["true", "false"], "aws:SecureTransport"),
        policy(),
        id="a list is not a boolean",
    ),
    pytest.param(policy(NotResource="arn:aws:s3"), OBJECT, id="exception of an incomplete ARN"),
    pytest.param(
        policy(Resource="arn:*:s3"), policy(Resource="arn:aws:sns:s3"), id="incomplete ARNs"
    ),
    pytest.param(
        with_condition("StringContains", ["a", "b"], "aws:username"),
        with_condition("StringEquals", "a", "aws:username"),
        id="unknown operator",
    ),
    pytest.param(
        with_condition("NumericEquals", "1_0", "s3:max-keys"),
        with_condition("NumericEquals", "10", "s3:max-keys"),
        id="number format that only Python accepts",
    ),
    pytest.param(
        policy(Action=["future:D?", "future:Do?", "future:Do??"]),
        policy(Action="future:Do*"),
        id="pattern of actions that AWS's list lacks",
    ),
    pytest.param(
        policy(NotAction=["s3:*", "future:*o"]),
        policy(Action=["s3:GetObject", "future:D?"]),
        id="exception that overlaps with a pattern",
    ),
    pytest.param(
        with_condition("StringEquals", "\ue000", "aws:username"),
        with_condition("StringEquals", "abc", "aws:username"),
        id="private-use character",
    ),
]


@pytest.mark.parametrize(("before", "after"), DIFFERENT)
def test_planted_difference_is_detected(simulator: Simulator, before: Block, after: Block) -> None:
    statistics = [
        check(simulator, [before, after], is_resource_policy=False, seed=seed) for seed in SEEDS
    ]
    # At least one simulated request is allowed only by the later policy. `check` fails if the
    # comparison misses it.
    assert sum(item["pairs that allow more requests"] for item in statistics)


def test_roles_with_the_same_name_and_different_paths_are_different_principals(
    simulator: Simulator,
) -> None:
    account = "arn:aws:iam::111122223333"
    excepted = policy(NotPrincipal={"AWS": f"{account}:role/team/reader"})
    named = policy(Principal={"AWS": f"{account}:role/reader"})
    statistics = [
        check(simulator, [excepted, named], is_resource_policy=True, seed=seed) for seed in SEEDS
    ]
    assert sum(item["pairs that allow more requests"] for item in statistics)


def test_simulator_gets_policies_that_it_evaluates_correctly() -> None:
    condition = {
        "IpAddress": {"aws:SourceIp": ["0.0.0.0/0", "10.1.2.3", "10.1.2.3/16"]},
        "DateLessThan": {"aws:CurrentTime": "1893456000"},
    }
    [statement] = for_simulator(policy(Condition=condition))["Statement"]
    assert statement["Condition"] == {
        "IpAddress": {"aws:SourceIp": ["0.0.0.0/1", "128.0.0.0/1", "10.1.2.3/32", "10.1.0.0/16"]},
        "DateLessThan": {"aws:CurrentTime": "2030-01-01T00:00:00+00:00"},
    }
