"""Checks the results of the policy comparison with an independent IAM simulator."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Sequence

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ops.terraform.policies import Comparison, compare
from tests.ops.permissions.generated_policies import CHAIN, Block, Requests, chains
from tests.ops.permissions.simulator import Simulator

REQUESTS = 48
"""Simulated requests for each chain of policies."""


def prove(number: int, *, is_repeatable: bool) -> Counter[str]:
    """Compares generated pairs of policies, and returns statistics about them.

    Args:
        number: The minimum number of pairs.
        is_repeatable: True generates the same pairs in every run.

    Raises:
        AssertionError: A simulated request contradicts a comparison. The message contains
            the smallest pair of policies with a contradiction.
    """
    pairs_per_chain = len(list(itertools.combinations(range(CHAIN), 2)))
    statistics: Counter[str] = Counter()
    simulator = Simulator()

    @settings(
        max_examples=-(-number // pairs_per_chain),
        deadline=None,
        derandomize=is_repeatable,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
    )
    @given(chain=chains(), seed=st.integers(0, 2**32))
    def check_chain(chain: tuple[list[Block], bool], seed: int) -> None:
        policies, is_resource_policy = chain
        statistics.update(
            check(simulator, policies, is_resource_policy=is_resource_policy, seed=seed)
        )

    try:
        check_chain()
    finally:
        simulator.close()
    return statistics


def check(
    simulator: Simulator, policies: Sequence[Block], *, is_resource_policy: bool, seed: int
) -> Counter[str]:
    """Compares all pairs of some policies, and returns statistics about the pairs.

    Raises:
        AssertionError: A simulated request contradicts a comparison.
    """
    requests = Requests(policies, is_resource_policy, seed).generate(REQUESTS)
    allowed = simulator.allowed(policies, requests, is_resource_policy=is_resource_policy)
    statistics: Counter[str] = Counter()
    for (before, old), (after, new) in itertools.combinations(
        zip(policies, allowed, strict=True), 2
    ):
        results = list(zip(requests, old, new, strict=True))
        gained = [request for request, earlier, later in results if later and not earlier]
        lost = [request for request, earlier, later in results if earlier and not later]
        comparison = compare(before, after)
        assert not gained or may_allow_more(comparison), _describe(
            "newly", gained[0], before, after
        )
        assert not lost or may_allow_less(comparison), _describe(
            "no longer", lost[0], before, after
        )
        statistics.update(
            {
                "pairs": 1,
                "pairs that allow more requests": bool(gained),
                "pairs that allow fewer requests": bool(lost),
                "pairs called the same": comparison.same,
                "pairs called wider although no simulated request is newly allowed": (
                    may_allow_more(comparison) and not gained
                ),
                "pairs called different although all simulated requests have equal results": not (
                    comparison.same or gained or lost
                ),
            }
        )
    return statistics


def may_allow_more(comparison: Comparison) -> bool:
    """Returns True if, according to the comparison, the later policy may allow more requests."""
    return bool(comparison.wider or comparison.undenied or comparison.undecided)


def may_allow_less(comparison: Comparison) -> bool:
    """Returns True if, according to the comparison, the later policy may allow fewer requests."""
    return bool(comparison.narrower or comparison.denied or comparison.undecided)


def _describe(change: str, request: Block, before: Block, after: Block) -> str:
    policies = json.dumps({"before": before, "after": after}, indent=1)
    return f"{change} allowed: {request}\n{policies}"
