"""Tests that each rule has a case that fails without it, so that no rule is lost unnoticed."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import get_args

import pytest

from ops.review.checks import CHECKS
from ops.review.review import review
from ops.review.rules import Becoming, CheckName, PolicyChange, Rule, Rules, judge, load_rules
from ops.review.values import BECOMES
from ops.terraform.plan import Change, Plan, read_plan
from ops.terraform.policies import Comparison, compare
from tests.ops.review.documents import document, item
from tests.ops.review.test_cases import cases, with_text
from tests.ops.review.test_rules import CASES, FORMS, POLICIES, change, values


@dataclass(frozen=True)
class Expectation:
    """What a test in test_rules.py or test_cases.py expects of a change."""

    judged: Callable[[Rules], tuple[set[str], bool]]
    """Returns the ids of the matching rules, and whether the test succeeds."""


def of_rules() -> Iterable[Expectation]:
    """Yields the expectations of test_rules.py.

    Each expects a rule, and its verdict, among the reasons of a change.
    """
    changes: list[tuple[str, object, Change, list[Comparison]]] = [
        (rule, verdict, change(type_, action, values(path, before), values(path, after)), [])
        for rule, verdict, type_, action, path, before, after in CASES
    ]
    changes += [
        (
            rule,
            verdict,
            change("aws_iam_role_policy", action, {"policy": before}, {"policy": after}),
            [compare(before, after)],
        )
        for rule, verdict, action, before, after in POLICIES
    ]
    changes += [(rule, verdict, changed, []) for rule, verdict, changed in FORMS]

    def expected(
        rules: Rules, *, pair: tuple[str, object], changed: Change, policies: list[Comparison]
    ) -> tuple[set[str], bool]:
        reasons = judge(changed, policies, rules)
        found = {(reason.rule, reason.verdict) for reason in reasons}
        return {reason.rule for reason in reasons}, pair in found

    for rule, verdict, changed, policies in changes:
        yield Expectation(
            functools.partial(expected, pair=(rule, verdict), changed=changed, policies=policies)
        )


def of_cases() -> Iterable[Expectation]:
    """Yields the expectations of test_cases.py.

    Each expects a verdict on a change, and often a rule.
    """

    def expected(
        rules: Rules, *, plan: Plan, verdict: str, rule: str | None
    ) -> tuple[set[str], bool]:
        [result] = review(plan, "dev", rules=rules).changes
        found = {reason.rule for reason in result.reasons}
        return found, str(result.verdict) == verdict and (rule is None or rule in found)

    for parameter in cases():
        [case] = parameter.values
        before, after = with_text(case.get("before")), with_text(case.get("after"))
        actions = {"actions": case["actions"]} if "actions" in case else {}
        plan = read_plan(document(item(case["type"], "x", before, after, **actions)))
        yield Expectation(
            functools.partial(expected, plan=plan, verdict=case["verdict"], rule=case.get("rule"))
        )


@pytest.fixture(scope="module")
def expectations() -> list[tuple[Expectation, set[str]]]:
    """Returns all expectations, each with the ids of the rules that match its change."""
    rules = load_rules()
    found = []
    for expectation in (*of_rules(), *of_cases()):
        ids, succeeds = expectation.judged(rules)
        assert succeeds
        found.append((expectation, ids))
    return found


def test_each_rule_has_a_case_that_fails_without_it(
    expectations: list[tuple[Expectation, set[str]]],
) -> None:
    rules = load_rules()
    assert unnoticed(rules, expectations) == []
    # A second copy of a rule changes no verdict, so the test must report both.
    twice = rules.model_copy(update={"rules": (*rules.rules, rules.rules[0])})
    assert len(unnoticed(twice, expectations)) == 2


def unnoticed(rules: Rules, expectations: Iterable[tuple[Expectation, set[str]]]) -> list[Rule]:
    """Returns the rules without which all expectations are met."""
    found = []
    for number, rule in enumerate(rules.rules):
        others = rules.model_copy(
            update={"rules": (*rules.rules[:number], *rules.rules[number + 1 :])}
        )
        affected = [expectation for expectation, ids in expectations if rule.id in ids]
        if all(expectation.judged(others)[1] for expectation in affected):
            found.append(rule)
    return found


def test_each_check_function_is_used_by_a_rule() -> None:
    """A function that no rule calls would have no case."""
    rules = load_rules().rules
    assert {rule.check for rule in rules} - {None} == set(get_args(CheckName)) == CHECKS.keys()
    assert {rule.policy for rule in rules} - {None} == set(get_args(PolicyChange))
    becoming = {rule.becomes for rule in rules if isinstance(rule.becomes, str)}
    assert becoming == set(get_args(Becoming)) == BECOMES.keys() | {"lowered", "raised"}
