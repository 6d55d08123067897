"""Tests that a change is safe only if a rule gives a reason, and that resources of types that the
provider lacks are treated as holding data.
"""

from __future__ import annotations

import dataclasses
import json

import pytest

from ops.review.rules import Rule, Rules, Verdict, judge, load_rules
from ops.terraform.plan import Action, Change
from ops.terraform.policies import Comparison, compare
from ops.terraform.provider_types import FILE, is_known, is_stateful
from tests.ops.review.test_rules import CASES, FORMS, PLAIN, POLICIES, change, statement, values

UNKNOWN_TYPES = ("aws_unheard_of", "aws_unheard_rule", "aws_s3_bucket_unheard", "google_x_policy")
TYPES = tuple(json.loads(FILE.read_text(encoding="utf-8"))["types"])
WITHOUT_DATA = ("aws_rds_cluster_instance", "aws_docdb_cluster_instance",
    "aws_neptune_cluster_instance")  # fmt: skip
"""Types that are stateful according to cfn-lint's list, but whose data is in their cluster."""
STATE_ONLY = {"null_resource", "terraform_data"}


@pytest.fixture(scope="module")
def rules() -> Rules:
    return load_rules()


@pytest.mark.parametrize("type_", UNKNOWN_TYPES)
def test_no_change_of_an_unknown_type_is_safe(rules: Rules, type_: str) -> None:
    """A rule calls changes of tags safe. For an unknown type, even these must not be safe."""
    changes: list[tuple[Change, list[Comparison]]] = [
        (change(type_, action, values(path, before), values(path, after)), [])
        for _, _, _, action, path, before, after in CASES
    ]
    changes += [
        (change(type_, action, {"policy": before}, {"policy": after}), [compare(before, after)])
        for _, _, action, before, after in POLICIES
    ]
    changes += [(dataclasses.replace(form, type=type_), []) for _, _, form in FORMS]
    for changed, policies in changes:
        verdict = judge(changed, policies, rules)[0].verdict
        assert verdict > Verdict.SAFE, changed
        if changed.action is Action.DESTROY:
            assert verdict is Verdict.IRREVERSIBLE
    same = statement(Sid="Named", Action=["s3:GetObject"])
    harmless = change("aws_iam_role_policy", Action.UPDATE, {"policy": PLAIN}, {"policy": same})
    assert judge(harmless, [compare(PLAIN, same)], rules)[0].verdict is Verdict.SAFE


def test_a_new_resource_is_safe_only_if_the_rules_list_its_type(rules: Rules) -> None:
    sets = rules.type_sets
    listed = sets["new"] | sets["settings"] | sets["released"] | {"aws_s3_object"}
    for type_ in TYPES:
        verdict = judge(change(type_, Action.CREATE, {}, {"x": "y"}), [], rules)[0].verdict
        assert verdict > Verdict.SAFE or type_ in listed, type_


def test_a_destroyed_resource_is_safe_only_if_releases_replace_it(rules: Rules) -> None:
    for type_ in TYPES:
        verdict = judge(change(type_, Action.DESTROY, {"x": "y"}, {}), [], rules)[0].verdict
        assert verdict > Verdict.SAFE or type_ in rules.type_sets["released"], type_
        if is_stateful(type_):
            assert (verdict is Verdict.IRREVERSIBLE) == (type_ not in WITHOUT_DATA), type_


def test_a_wildcard_in_except_types_matches_no_stateful_unknown_or_negated_type() -> None:
    patterns = frozenset({"aws_*", "!aws_eip"})
    rule = Rule(id="x", verdict="review", text="", except_types=patterns, actions={Action.DESTROY})
    applies = {type_ for type_ in TYPES if rule.is_for(type_, Action.DESTROY, deposed=False)}
    assert applies == {type_ for type_ in TYPES if is_stateful(type_)} | {"aws_eip"}
    assert rule.is_for("aws_unheard_of", Action.DESTROY, deposed=False)


def test_every_type_that_a_rule_names_is_in_the_provider(rules: Rules) -> None:
    named = {type_ for types in rules.type_sets.values() for type_ in types}
    named |= {type_ for rule in rules.rules for type_ in rule.types}
    assert {
        type_
        for type_ in named
        if "*" not in type_ and not is_known(type_.removeprefix("!"))
        if not type_.startswith("time_")
    } == STATE_ONLY
