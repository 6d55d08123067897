"""Tests the environment model: valid files, and the errors for invalid ones."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import main
from environments import (
    Environment,
    EnvironmentFileError,
    environment_names,
    example_names,
    load_environment,
    rules,
)
from environments.model import Rds

VALID: dict[str, Any] = {
    "allowed_account_ids": ["111122223333"],
    "cors_origins": ["*"],
    "lambdas": {"reserved_concurrency": 5},
    "rds": {"min_capacity": 0.5, "max_capacity": 1.0},
    "removal_policy": "destroy",
    "release_strategy": "all_at_once",
}


def _load(directory: Path, text: str, **variables: str) -> Any:
    (directory / "fifth.yml").write_text(text, encoding="utf-8")
    return load_environment("fifth", directory=directory, variables=variables)


def _valid_except(path: str, value: Any) -> str:
    document = yaml.safe_load(yaml.safe_dump(VALID))
    section = document
    *parents, last = path.split(".")
    for key in parents:
        section = section.setdefault(key, {})
    section[last] = value
    return yaml.safe_dump(document)


def test_the_four_environments_exist() -> None:
    assert {"dev", "local", "prod", "staging"} <= set(environment_names())


def test_examples_are_loaded_by_name_but_not_listed(tmp_path: Path) -> None:
    assert "scale" in example_names()
    assert not set(example_names()) & set(environment_names())
    assert load_environment("scale", variables={}).name == "scale"
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "fifth.yml").write_text(yaml.safe_dump(VALID))
    assert load_environment("fifth", directory=tmp_path, variables={}).log_level == "info"
    # An environment file takes precedence over an example file with the same name.
    assert _load(tmp_path, _valid_except("log_level", "debug")).log_level == "debug"


def test_ipv6_egress_can_replace_the_nat_gateways(tmp_path: Path) -> None:
    network = {"nat_gateways": 0, "ipv6_egress": True}
    assert _load(tmp_path, _valid_except("network", network)).network.ipv6_egress


def test_like_copies_the_sizes_of_another_environment(tmp_path: Path) -> None:
    own = {**VALID, "lambdas": {"reserved_concurrency": 5, "package_platform": "host"}}
    (tmp_path / "large.yml").write_text(
        yaml.safe_dump(
            {
                **VALID,
                "allowed_account_ids": ["444455556666"],
                "lambdas": {"reserved_concurrency": 9, "functions": {"chat": {"timeout": 20}}},
                "rds": {"min_capacity": 2.0, "max_capacity": 4.0},
                "auth": {"account_seconds": 3600},
                "chat": {"room_parts": 8},
                "removal_policy": "retain",
            }
        )
    )
    environment = _load(tmp_path, yaml.safe_dump({**own, "like": "${SIZES:-}"}), SIZES="large")
    assert environment.rds == Rds(min_capacity=2.0, max_capacity=4.0)
    assert environment.function("chat").timeout == 20
    assert environment.lambdas.reserved_concurrency == 9
    assert environment.auth.account_seconds == 3600
    assert environment.chat.room_parts == 8
    # These values stay as this environment's own file sets them.
    assert environment.lambdas.package_platform == "host"
    assert environment.account_id == "111122223333"
    assert environment.removal_policy == "destroy"
    unchanged = _load(tmp_path, yaml.safe_dump({**own, "like": "${SIZES:-}"}))
    assert unchanged == _load(tmp_path, yaml.safe_dump(own))


@pytest.mark.parametrize(
    ("like", "error"),
    [
        ("missing", "fifth.yml:1:1: like: missing: missing.yml: no such environment"),
        (
            "fifth",
            "fifth.yml:1:1: like: fifth: refers back to this environment, directly or",
        ),
        ("other", "fifth.yml:1:1: like: other: other.yml:1:1: like: fifth: refers back to this"),
        ("Other", "fifth.yml:1:1: like: 'Other': String should match"),
    ],
)
def test_like_must_name_an_environment_that_exists_and_does_not_refer_back(
    tmp_path: Path, like: str, error: str
) -> None:
    (tmp_path / "other.yml").write_text("like: fifth\n" + yaml.safe_dump(VALID))
    with pytest.raises(EnvironmentFileError) as caught:
        _load(tmp_path, f"like: {like}\n" + yaml.safe_dump(VALID))
    assert error in str(caught.value)


def test_an_additional_file_defines_an_additional_environment(tmp_path: Path) -> None:
    environment = _load(tmp_path, yaml.safe_dump(VALID))
    assert environment.name == "fifth"
    assert environment.budget.monthly_usd == 100
    assert environment.function("auth").reserved_concurrency == 5


def test_each_environment_has_its_own_state_by_default(tmp_path: Path) -> None:
    state = _load(tmp_path, yaml.safe_dump(VALID)).state
    assert state.key == "multitask-platform/fifth/terraform.tfstate"
    assert state.bucket == f"multitask-terraform-state-{VALID['allowed_account_ids'][0]}"
    elsewhere = _load(tmp_path, _valid_except("state.bucket", "elsewhere")).state
    assert (elsewhere.bucket, elsewhere.key) == (
        "elsewhere",
        "multitask-platform/fifth/terraform.tfstate",
    )
    assert _load(tmp_path, _valid_except("state.key", "mine")).state.key == "mine"


def test_environments_with_the_same_state_are_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    dev = load_environment("dev", variables={})

    def load(name: str) -> Environment:
        bucket = "elsewhere" if name == "third" else dev.state.bucket
        return dev.model_copy(
            update={"name": name, "state": dev.state.model_copy(update={"bucket": bucket})}
        )

    monkeypatch.setattr(main, "load_environment", load)
    assert [environment.name for environment in main._load(["dev", "third"])] == ["dev", "third"]
    with pytest.raises(
        SystemExit, match=r"second\.yml: state\.key: multitask-platform/dev/.* dev already uses"
    ):
        main._load(["dev", "second"])


@pytest.mark.parametrize("key", ["websocket", "cdn", "site"])
def test_a_domain_cannot_be_used_twice(tmp_path: Path, key: str) -> None:
    domains = {
        "api": "a.b.com",
        "websocket": "w.b.com",
        "cdn": "c.b.com",
        "site": "b.com",
        key: "a.b.com",
    }
    lines = _errors(tmp_path, domains=domains, hosted_zone_id="Z0123456789")
    assert lines == [f"domains.{key}: a.b.com: must differ from domains.api"]


def test_duplicate_domains_are_reported_even_if_another_domain_is_invalid(tmp_path: Path) -> None:
    lines = _errors(tmp_path, domains={"api": "a.b.com", "websocket": "W", "cdn": "a.b.com"})
    assert "domains.cdn: a.b.com: must differ from domains.api" in lines


def test_a_suffix_cannot_make_a_bucket_name_too_long(tmp_path: Path) -> None:
    name = "a" * 15

    def load(suffix: str) -> str | None:
        (tmp_path / f"{name}.yml").write_text(_valid_except("bucket_suffix", suffix))
        return load_environment(name, directory=tmp_path, variables={}).bucket_suffix

    assert load("s" * 19) == "s" * 19
    with pytest.raises(
        EnvironmentFileError, match="bucket_suffix: s{20}: must have at most 19 char"
    ):
        load("s" * 20)


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("log_levle", "info", ["log_levle: 'info': unknown key", "log_level"]),
        ("rds.max", 2.0, ["rds.max: 2.0: unknown key", "max_capacity"]),
        (
            "lambdas.reserved_concurrency",
            "5",
            ["lambdas.reserved_concurrency: '5'", "valid integer"],
        ),
        ("lambdas.functions", {"aut": {}}, ["lambdas.functions.aut: 'aut'", "'auth', 'profile'"]),
        ("rate_limiting", "yes", ["rate_limiting: 'yes'", "valid boolean"]),
        ("log_level", "loud", ["log_level: 'loud'", "'debug', 'info', 'warning' or 'error'"]),
        ("removal_policy", "keep", ["removal_policy: 'keep'", "'retain' or 'destroy'"]),
        (
            "release_strategy",
            "canary",
            ["release_strategy: 'canary'", "'all_at_once' or 'gradual'"],
        ),
        ("region", "virginia", ["region: 'virginia'"]),
        ("cors_origins", ["http://multitask.com"], ["cors_origins.0: 'http://multitask.com'"]),
        ("cors_origins", ["*", "https://a.example"], ["cors_origins:", "'*' cannot be combined"]),
        (
            "monitoring.log_retention_days",
            8,
            ["monitoring.log_retention_days: 8: must be one of 1, 3, 5, 7"],
        ),
        (
            "network.availability_zones",
            4,
            ["network.availability_zones: 4", "less than or equal to 3"],
        ),
        (
            "region",
            "eu-central-1",
            [
                "network.zone_ids: []: eu-central-1 needs the ids of 2",
                "describe-availability-zones",
            ],
        ),
        ("network.zone_ids", ["use1-az1"], ["network.zone_ids: ['use1-az1']: us-east-1 needs"]),
        (
            "network.zone_ids",
            ["use1-az1", "use1-az3"],
            ["network.zone_ids: use1-az3: lacks NAT gateways", "another zone"],
        ),
        ("network.zone_ids", ["us-east-1a", "us-east-1b"], ["network.zone_ids.0: 'us-east-1a'"]),
        ("rds.min_capacity", 0.7, ["rds.min_capacity: 0.7", "multiple of 0.5"]),
        (
            "rds.min_capacity",
            2.0,
            ["rds.min_capacity: 2.0: must be at most 1.0, the value of rds.max_capacity"],
        ),
        (
            "dynamodb.read",
            {"min": 10, "max": 5},
            ["dynamodb.read.min: 10: must be at most 5, the value of dynamodb.read.max"],
        ),
        (
            "dynamodb.write.min",
            101,
            ["dynamodb.write.min: 101: must be at most 100, the value of dynamodb.write.max"],
        ),
        (
            "lambdas.provisioned_concurrency",
            6,
            ["lambdas.provisioned_concurrency: 6 for auth: must be at most 5, the reserved"],
        ),
        (
            "network.nat_gateways",
            0,
            ["network.nat_gateways: 0: must be at least 1", "@connections"],
        ),
        ("network.ipv6_egress", True, ["network.nat_gateways: 1: must be 0 with ipv6_egress"]),
        (
            "rds",
            {"min_capacity": 0, "max_capacity": 1.0, "engine_version": "16.2"},
            ["rds.min_capacity: 0: PostgreSQL 16.2 cannot pause", "15.7 or 16.3"],
        ),
        (
            "rds",
            {"min_capacity": 0, "max_capacity": 1.0, "engine_version": "12.19"},
            ["rds.min_capacity: 0: PostgreSQL 12.19 cannot pause"],
        ),
        (
            "network.nat_gateways",
            3,
            ["network.nat_gateways: 3: must be at most 2, the value of network.availability_zones"],
        ),
        (
            "lambdas.reserved_concurrency",
            180,
            ["rds.max_capacity: 1.0: allows 189 connections", "190"],
        ),
        ("hosted_zone_id", "Z0123456789", ["hosted_zone_id: Z0123456789", "set both"]),
        (
            "domains",
            {"api": "a.b.com", "websocket": "w.b.com", "cdn": "c.b.com", "site": "b.com"},
            ["set both"],
        ),
        ("alert_email", "nobody", ["alert_email: 'nobody'"]),
        ("allowed_account_ids", [], ["allowed_account_ids"]),
        ("allowed_account_ids", ["111122223333", "444455556666"], ["allowed_account_ids"]),
        ("allowed_account_ids", ["1234"], ["allowed_account_ids.0: '1234'"]),
        ("bucket_suffix", "A_B", ["bucket_suffix: 'A_B'"]),
        ("name", "prod", ["name: 'prod'", "the file name is"]),
        ("rds", {"min_capacity": 0.5}, ["rds.max_capacity: required, but missing"]),
        ("state", {"key": ""}, ["state.key: ''", "at least 1 character"]),
        ("state", "mine", ["state: 'mine'"]),
        ("bucket_suffix", "acme-", ["bucket_suffix: 'acme-'"]),
        ("lambdas.timeout", 31, ["lambdas.timeout: 31", "less than or equal to 30"]),
        (
            "lambdas.functions",
            {"ai": {"timeout": 31}},
            ["lambdas.functions.ai.timeout: 31: must be at most 30"],
        ),
        (
            "lambdas.functions",
            {"ai": {"timeout": 27}},
            ["lambdas.functions.ai.timeout: 27: must be at least 28"],
        ),
        (
            "ai.gemini.base_url",
            "http://gateway.example.com/v1",
            ["ai.gemini.base_url: 'http://gateway.example.com/v1'"],
        ),
        ("ai.openai.base_url", "https://gateway.example.com/v1/", ["ai.openai.base_url"]),
        ("ai.openai.base_url", "https://key@gateway.example.com/v1", ["ai.openai.base_url"]),
        ("ai.openai.base_url", "https://gateway.example.com/v1?key=x", ["ai.openai.base_url"]),
        ("ai.gemini.model", "../x y", ["ai.gemini.model: '../x y'"]),
        ("ai.openai.reasoning_effort", "much", ["ai.openai.reasoning_effort: 'much'", "'none'"]),
        ("ai.daily_quota", 0, ["ai.daily_quota: 0"]),
        ("ai.azure", {}, ["ai.azure: {}: unknown key", "gemini, openai"]),
        (
            "lambdas.functions",
            {"health": {"timeout": 60}},
            ["lambdas.functions.health.timeout: 60: must be at most 30"],
        ),
        (
            "lambdas.functions",
            {"post": {"reserved_concurrency": 6}},
            [
                "lambdas.functions.post.reserved_concurrency: 6:"
                " must be at most 5, the value of lambdas.reserved_concurrency"
            ],
        ),
        *(
            (
                "lambdas.functions",
                {function: {size: 1}},
                [f"lambdas.functions.{function}.{size}: 1: remove this key"],
            )
            for function in ("authorizer", "health", "migration", "relay", "statistics", "delivery")
            for size in ("reserved_concurrency", "provisioned_concurrency")
        ),
    ],
)
def test_an_error_names_the_invalid_value_and_the_allowed_ones(
    tmp_path: Path, path: str, value: Any, expected: list[str]
) -> None:
    with pytest.raises(EnvironmentFileError) as error:
        _load(tmp_path, _valid_except(path, value))
    lines = str(error.value).splitlines()
    assert all(re.match(r"fifth\.yml(:\d+:\d+)?: ", line) for line in lines)
    for words in expected:
        assert any(words in line for line in lines), (words, lines)


@pytest.mark.parametrize(
    "address",
    [
        "https://gateway.example.com",
        "https://gateway.example.com:8443/a/v1",
        "http://127.0.0.1:11434/v1",
        "http://localhost/v1",
    ],
)
def test_a_language_models_url_must_use_tls_or_loopback(tmp_path: Path, address: str) -> None:
    environment = _load(
        tmp_path, _valid_except("ai.openai", {"base_url": address, "reasoning_effort": None})
    )
    assert (environment.ai.openai.base_url, environment.ai.openai.reasoning_effort) == (
        address,
        None,
    )
    assert environment.ai.gemini.base_url == "https://generativelanguage.googleapis.com/v1beta"


def test_variables_set_the_language_models_of_the_local_platform() -> None:
    assert load_environment("local", variables={}).ai == load_environment("dev", variables={}).ai
    variables = {
        "GEMINI_BASE_URL": "http://127.0.0.1:1/v1beta",
        "GEMINI_MODEL": "a",
        "OPENAI_MODEL": "b",
    }
    ai = load_environment("local", variables=variables).ai
    assert (ai.gemini.base_url, ai.gemini.model, ai.openai.model) == (
        "http://127.0.0.1:1/v1beta",
        "a",
        "b",
    )


MAIL = {"protocol": "email", "endpoint": "shop@example.com", "events": ["ListingSold"]}
QUEUE = {
    "protocol": "sqs",
    "endpoint": "arn:aws:sqs:us-east-1:111122223333:audit",
    "events": ["UserRegistered", "PasswordChanged"],
}


def test_the_environment_file_sets_the_subscriptions(tmp_path: Path) -> None:
    assert _load(tmp_path, yaml.safe_dump(VALID)).notifications.subscriptions == []
    subscriptions = _load(
        tmp_path, _valid_except("notifications.subscriptions", [MAIL, QUEUE])
    ).notifications.subscriptions
    assert [item.protocol for item in subscriptions] == ["email", "sqs"]
    assert subscriptions[1].events == ["UserRegistered", "PasswordChanged"]


@pytest.mark.parametrize(
    ("subscription", "expected"),
    [
        ({**MAIL, "protocol": "pigeon"}, "notifications.subscriptions.1.protocol: 'pigeon'"),
        (
            {**MAIL, "events": ["PostUnliked"]},
            "notifications.subscriptions.1.events.0: 'PostUnliked'",
        ),
        ({**MAIL, "events": []}, "notifications.subscriptions.1.events: []"),
        ({**MAIL, "filter": "all"}, "notifications.subscriptions.1.filter: 'all': unknown key"),
        (
            {**MAIL, "endpoint": "nobody"},
            "notifications.subscriptions.1.endpoint: nobody:"
            " protocol email requires an email address",
        ),
        (
            {**QUEUE, "endpoint": "https://example.com"},
            "notifications.subscriptions.1.endpoint: https://example.com: protocol",
        ),
        (
            {**MAIL, "protocol": "https", "endpoint": "http://example.com/"},
            "notifications.subscriptions.1.endpoint: http:",
        ),
        (
            {**MAIL, "protocol": "lambda", "endpoint": "tell"},
            "notifications.subscriptions.1.endpoint: tell: protocol",
        ),
        (MAIL, "notifications.subscriptions.1.endpoint: shop@example.com: duplicate endpoint"),
    ],
)
def test_an_invalid_subscription_is_reported(
    tmp_path: Path, subscription: dict[str, Any], expected: str
) -> None:
    lines = _errors(tmp_path, notifications={"subscriptions": [MAIL, subscription]})
    assert len(lines) == 1
    assert lines[0].startswith(expected)


def test_subscriptions_are_checked_even_if_other_values_are_invalid(tmp_path: Path) -> None:
    subscriptions = [{**MAIL, "endpoint": "nobody"}]
    lines = _errors(tmp_path, log_level="loud", notifications={"subscriptions": subscriptions})
    assert [line.partition(":")[0] for line in lines] == [
        "log_level",
        "notifications.subscriptions.0.endpoint",
    ]


def _errors(directory: Path, **sections: Any) -> list[str]:
    """Replaces sections of a valid environment file, and returns the errors.

    Removes the sections whose value is None.
    """
    document = {key: value for key, value in {**VALID, **sections}.items() if value is not None}
    with pytest.raises(EnvironmentFileError) as error:
        _load(directory, yaml.safe_dump(document))
    return [re.sub(r"^fifth\.yml(:\d+:\d+)?: ", "", line) for line in str(error.value).splitlines()]


def test_all_errors_are_reported_together(tmp_path: Path) -> None:
    lines = _errors(
        tmp_path,
        log_level="loud",
        unknown=1,
        removal_policy=None,
        cors_origins=["*", "https://a.example"],
        network={"nat_gateways": 0, "availability_zones": 4},
        rds={"min_capacity": 2.0, "max_capacity": 1.0, "instances": 0},
        dynamodb={"read": {"min": 10, "max": 5, "target_utilization": 5}, "write": {"min": 200}},
    )
    for start in (
        "log_level: 'loud': ",
        "unknown: 1: unknown key",
        "removal_policy: required",
        "cors_origins: ['*', 'https://a.example']: '*' cannot be combined",
        "network.availability_zones: 4: ",
        "network.nat_gateways: 0: ",
        "rds.instances: 0: ",
        "rds.min_capacity: 2.0: must be at most",
        "dynamodb.read.target_utilization: 5: ",
        "dynamodb.read.min: 10: must be at most",
        "dynamodb.write.min: 200: must be at most",
    ):
        assert [line for line in lines if line.startswith(start)], (start, lines)
    assert len(lines) == 11


def test_all_broken_rules_are_reported_together(tmp_path: Path) -> None:
    lines = _errors(
        tmp_path,
        cors_origins=["*", "https://a.example"],
        network={"nat_gateways": 0},
        rds={"min_capacity": 2.0, "max_capacity": 1.0},
    )
    assert [line.partition(":")[0] for line in lines] == [
        "cors_origins",
        "rds.min_capacity",
        "network.nat_gateways",
    ]


@pytest.mark.parametrize(
    ("sections", "wrong"),
    [
        ({"cors_origins": ["*", "no"]}, "cors_origins.1"),
        ({"network": {"nat_gateways": "0"}}, "network.nat_gateways"),
        ({"network": 1}, "network"),
        ({"rds": {"min_capacity": 2.0, "max_capacity": "1"}}, "rds.max_capacity"),
        ({"rds": {"min_capacity": 2.0}}, "rds.max_capacity"),
        ({"lambdas": {"reserved_concurrency": "180"}}, "lambdas.reserved_concurrency"),
        (
            {
                "lambdas": {
                    "reserved_concurrency": 180,
                    "functions": {"catalog": {"reserved_concurrency": "5"}},
                }
            },
            "lambdas.functions.catalog.reserved_concurrency",
        ),
        (
            {"lambdas": {"reserved_concurrency": 180, "functions": {"catalog": 5}}},
            "lambdas.functions.catalog",
        ),
        ({"domains": {"api": "A"}, "hosted_zone_id": "x"}, "hosted_zone_id"),
    ],
)
def test_a_rule_that_needs_an_invalid_value_is_skipped(
    tmp_path: Path, sections: dict[str, Any], wrong: str
) -> None:
    assert [
        line.partition(":")[0]
        for line in _errors(tmp_path, **sections)
        if not line.startswith("domains.")
    ] == [wrong]


def test_an_invalid_function_does_not_hide_errors_of_other_functions(tmp_path: Path) -> None:
    functions = {"auth": {"memory_size": 1, "provisioned_concurrency": 6}, "chat": 5, "post": {}}
    lambdas = {"reserved_concurrency": 5, "provisioned_concurrency": 7, "functions": functions}
    lines = _errors(tmp_path, lambdas=lambdas)
    assert [
        line
        for line in lines
        if line.startswith("lambdas.functions.auth.provisioned_concurrency: 6: must be")
    ]
    assert [
        line
        for line in lines
        if line.startswith("lambdas.provisioned_concurrency: 7 for post: must be at most")
    ]
    assert not [line for line in lines if "for chat" in line]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [", "invalid YAML"),
        ("- a", "a mapping of keys"),
        ("log_level: info\nlog_level: debug\n", "the key 'log_level' appears twice"),
    ],
)
def test_a_file_that_is_not_a_mapping_is_rejected(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(EnvironmentFileError, match=expected):
        _load(tmp_path, text)


def test_the_error_for_an_unknown_environment_lists_the_existing_ones() -> None:
    with pytest.raises(EnvironmentFileError, match=f"known: {', '.join(environment_names())}"):
        load_environment("qa")


def test_variables_are_interpolated_and_unset_ones_are_reported(tmp_path: Path) -> None:
    text = _valid_except("alert_email", "${ALERT_EMAIL}")
    assert _load(tmp_path, text, ALERT_EMAIL="ops@example.com").alert_email == "ops@example.com"
    with pytest.raises(
        EnvironmentFileError, match="alert_email: .* set the environment variable ALERT_EMAIL"
    ):
        _load(tmp_path, text)
    assert _load(tmp_path, _valid_except("alert_email", "${ALERT_EMAIL:-}")).alert_email is None


@pytest.mark.parametrize(
    ("environment", "function", "memory_size", "timeout", "reserved", "provisioned"),
    [
        # These are the specification's values with upper limits per function: 5 reserved executions
        # in dev, and 100 reserved and 10 provisioned executions in prod.
        ("dev", "auth", 512, 10, 5, 0),
        ("dev", "chat", 1024, 30, 5, 0),
        ("prod", "auth", 512, 10, 20, 10),
        ("prod", "chat", 1024, 30, 100, 5),
        ("prod", "ai", 512, 30, 100, 10),
        ("prod", "post", 512, 30, 100, 10),
        ("prod", "migration", 512, 300, None, 0),
        ("prod", "health", 512, 30, None, 0),
        ("prod", "authorizer", 512, 30, None, 0),
    ],
)
def test_functions_have_the_specifications_sizes_and_capped_concurrency(
    environment: str,
    function: Any,
    memory_size: int,
    timeout: int,
    reserved: int | None,
    provisioned: int,
) -> None:
    settings = load_environment(environment, variables={}).function(function)
    assert (settings.memory_size, settings.timeout) == (memory_size, timeout)
    assert (settings.reserved_concurrency, settings.provisioned_concurrency) == (
        reserved,
        provisioned,
    )


@pytest.mark.parametrize(
    ("minimum", "maximum", "limit"),
    # The Aurora user guide: 189 connections at 1 ACU. At most 2,000 connections if the minimum
    # capacity is 0 or 0.5 ACU, and at most 5,000 otherwise.
    [(0.5, 1.0, 189), (0.5, 32.0, 2000), (2.0, 16.0, 3024), (2.0, 256.0, 5000)],
)
def test_the_connection_limit_matches_the_aurora_user_guide(
    minimum: float, maximum: float, limit: int
) -> None:
    assert Rds(min_capacity=minimum, max_capacity=maximum).connection_limit == limit


def test_a_bug_in_a_rule_raises_instead_of_skipping_the_rule(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def rule_with_error(environment: Environment) -> list[str]:
        return [environment.no_such_key]  # type: ignore[attr-defined]

    monkeypatch.setattr(rules, "_check_origins", rule_with_error)
    with pytest.raises(AttributeError, match="no_such_key"):
        load_environment("dev")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("region: us-east-1\nregion: us-east-1\n", "fifth.yml:2:1: .*'region' appears twice"),
        ("rds:\n\tmin_capacity: 1\n", "fifth.yml:2:1: invalid YAML: .*with spaces, not with tabs"),
        ("rds:\n  min_capacity: 1\n max_capacity: 2\n", "fifth.yml:3:2: invalid YAML"),
        ("rds:\n  min_capacity: small\n", "fifth.yml:2:3: rds.min_capacity: 'small'"),
        ("cors_origins:\n- '*'\n- ftp://a\n", r"fifth.yml:3:3: cors_origins.1: 'ftp://a'"),
        (
            "monitoring:\n  log_retentoin_days: 7\n",
            "fifth.yml:2:3: monitoring.log_retentoin_days: 7: unknown key; did you mean"
            " log_retention_days",
        ),
        ("rds: {min_capacity: 4, max_capacity: 2}\n", "fifth.yml:1:7: rds.min_capacity: 4"),
        ("alert_email: ${MAIL}\n", "fifth.yml:1:1: alert_email: .* variable MAIL"),
        ("region: us-east-1\n", r"fifth.yml: cors_origins: required"),
        ("rds: {}\n", r"fifth.yml:1:1: rds.min_capacity: required"),
    ],
)
def test_errors_name_line_and_column(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(EnvironmentFileError, match=expected):
        _load(tmp_path, text)


def test_a_similar_environment_is_suggested() -> None:
    with pytest.raises(EnvironmentFileError, match="did you mean staging"):
        load_environment("stagign")
