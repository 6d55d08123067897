from __future__ import annotations

from modules.base.naming import Names, service_tag
from tests.modules.synthesis import environment

NAMES = Names(environment("prod"))


def test_names_follow_the_documented_pattern() -> None:
    assert NAMES.of("auth", "lambda") == "auth-lambda-prod"
    assert NAMES.bucket("profile", "avatars") == "profile-avatars-bucket-prod"
    assert NAMES.parameter("jwt-secret") == "/multitask/prod/jwt-secret"


def test_only_bucket_names_get_the_suffix() -> None:
    names = Names(environment("prod", bucket_suffix="acme"))
    assert names.bucket("profile", "avatars") == "profile-avatars-bucket-prod-acme"
    assert names.of("auth", "lambda") == "auth-lambda-prod"


def test_an_arn_contains_the_region_and_account_of_the_environment() -> None:
    env = environment("prod", region="eu-west-1", allowed_account_ids=["999988887777"])
    assert Names(env).arn("sqs", "jobs") == "arn:aws:sqs:eu-west-1:999988887777:jobs"


def test_the_service_tag_contains_the_service() -> None:
    assert service_tag("auth") == {"Service": "auth"}
