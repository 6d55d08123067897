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
    """The expectation of a test in test_rules.py or test_cases.py about one change."""

    evaluate: Callable[[Rules], tuple[set[str], bool]]
    """Returns the ids of the matching rules, and whether the test succeeds."""


def rule_expectations() -> Iterable[Expectation]:
    """Yields the expectations of test_rules.py.

    Each expects that the reasons of a change contain a rule and its verdict.
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
        pairs = {(reason.rule, reason.verdict) for reason in reasons}
        return {reason.rule for reason in reasons}, pair in pairs

    for rule, verdict, changed, policies in changes:
        yield Expectation(
            functools.partial(expected, pair=(rule, verdict), changed=changed, policies=policies)
        )


def case_expectations() -> Iterable[Expectation]:
    """Yields the expectations of test_cases.py.

    Each expects a verdict on a change. Some also expect a rule among the reasons.
    """

    def expected(
        rules: Rules, *, plan: Plan, verdict: str, rule: str | None
    ) -> tuple[set[str], bool]:
        [result] = review(plan, "dev", rules=rules).changes
        ids = {reason.rule for reason in result.reasons}
        return ids, str(result.verdict) == verdict and (rule is None or rule in ids)

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
    results = []
    for expectation in (*rule_expectations(), *case_expectations()):
        ids, succeeds = expectation.evaluate(rules)
        assert succeeds
        results.append((expectation, ids))
    return results


def test_each_rule_has_a_case_that_fails_without_it(
    expectations: list[tuple[Expectation, set[str]]],
) -> None:
    rules = load_rules()
    assert find_untested_rules(rules, expectations) == []
    # If a rule exists twice, the removal of one copy changes no verdict, so the test must report
    # both copies.
    twice = rules.model_copy(update={"rules": (*rules.rules, rules.rules[0])})
    assert len(find_untested_rules(twice, expectations)) == 2


def find_untested_rules(
    rules: Rules, expectations: Iterable[tuple[Expectation, set[str]]]
) -> list[Rule]:
    """Returns the rules that can be removed without failing an expectation."""
    untested = []
    for number, rule in enumerate(rules.rules):
        others = rules.model_copy(
            update={"rules": (*rules.rules[:number], *rules.rules[number + 1 :])}
        )
        affected = [expectation for expectation, ids in expectations if rule.id in ids]
        if all(expectation.evaluate(others)[1] for expectation in affected):
            untested.append(rule)
    return untested


def test_each_check_function_is_used_by_a_rule() -> None:
    """A function that no rule calls would have no case."""
    rules = load_rules().rules
    assert {rule.check for rule in rules} - {None} == set(get_args(CheckName)) == CHECKS.keys()
    assert {rule.policy for rule in rules} - {None} == set(get_args(PolicyChange))
    becoming = {rule.becomes for rule in rules if isinstance(rule.becomes, str)}
    assert becoming == set(get_args(Becoming)) == BECOMES.keys() | {"lowered", "raised"}
