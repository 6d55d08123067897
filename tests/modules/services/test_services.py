"""Tests the six services: the variables and permissions of their functions."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from environments.model import Ai as EnvironmentAi
from lambdas.ai.handler import AiSettings
from lambdas.auth.handler import AuthSettings
from lambdas.chat.handler import ChatSettings
from lambdas.common.people.pictures import PictureSettings
from lambdas.common.settings import Settings, read
from lambdas.common.storage.cache import CacheSettings
from lambdas.common.storage.database import DatabaseSettings
from lambdas.common.web.service import ServiceSettings
from lambdas.post.handler import PostSettings
from lambdas.profile.handler import ProfileSettings
from tests.modules.service_stacks import CACHE, function_name, synthesize_services
from tests.modules.synthesis import Synthesized, environment

SERVICES = ("auth", "profile", "chat", "post", "catalog", "ai")


def _tables(*resources: str) -> set[str]:
    return {f"DYNAMODB_TABLE_{resource}" for resource in resources}


COMMON = {"STAGE", "REGION", "LOG_LEVEL", "CORS_ORIGINS", "RATE_LIMIT_ENABLED"} | {
    "POWERTOOLS_SERVICE_NAME"
}
WITH_SESSIONS = COMMON | _tables("SESSIONS", "IDEMPOTENCY") | {"CURSOR_KEY_PARAMETER"}
VARIABLES = {
    "auth": COMMON
    | _tables("SESSIONS", "RATE_LIMITS", "PROFILES")
    | {"COGNITO_USER_POOL_ID", "COGNITO_CLIENT_ID", "JWT_SECRET_PARAMETER", "EVENT_BUS_NAME"}
    | {"CURSOR_KEY_PARAMETER"},
    "profile": COMMON
    | _tables("SESSIONS", "IDEMPOTENCY", "PROFILES", "ALIASES", "OUTBOX")
    | {"S3_BUCKET_AVATARS", "S3_BUCKET_ATTACHMENTS", "CLOUDFRONT_DOMAIN"},
    "chat": WITH_SESSIONS
    | _tables("MESSAGES", "ROOMS", "MEMBERS", "TICKETS", "ALIASES", "AUTHORS", "PROFILES", "OUTBOX")
    | {"ELASTICACHE_CLUSTER", "ELASTICACHE_USERNAME", "ELASTICACHE_REPLICATION_GROUP"}
    | {"ELASTICACHE_TLS", "S3_BUCKET_ATTACHMENTS", "WEBSOCKET_API_ENDPOINT"}
    | {"DELIVERIES_QUEUE_URL", "DELIVERY_RETRIES_QUEUE_URL"},
    "post": WITH_SESSIONS
    | _tables("POSTS", "COMMENTS", "LIKES", "COUNTERS", "TAGS")
    | _tables("ALIASES", "AUTHORS", "PROFILES", "OUTBOX")
    | {"S3_BUCKET_ATTACHMENTS", "CLOUDFRONT_DOMAIN", "TIMELINE_SHARDS"},
    "catalog": WITH_SESSIONS
    | {"RDS_ENDPOINT", "RDS_DATABASE", "RDS_USERNAME", "RDS_IAM_AUTH", "S3_BUCKET_ATTACHMENTS"}
    | {"CLOUDFRONT_DOMAIN", "EVENT_BUS_NAME"},
    "ai": WITH_SESSIONS
    | _tables("CONVERSATIONS", "USAGE")
    | {"GEMINI_API_KEY_PARAMETER", "GEMINI_BASE_URL", "GEMINI_MODEL", "GEMINI_THINKING_LEVEL"}
    | {"OPENAI_API_KEY_PARAMETER", "OPENAI_BASE_URL", "OPENAI_MODEL", "OPENAI_REASONING_EFFORT"}
    | {"DAILY_QUOTA"},
}

SETTINGS: dict[str, list[type[Settings]]] = {
    "auth": [AuthSettings],
    "profile": [ProfileSettings, PictureSettings],
    "chat": [ChatSettings, CacheSettings],
    "post": [PostSettings, PictureSettings],
    "catalog": [ServiceSettings, DatabaseSettings],
    "ai": [AiSettings],
}

OUTBOX = ("profile", "post", "chat")
"""Services that store their events in the outbox."""

SHARED_TABLES = {"auth-sessions", "platform-idempotency"}
TABLES = {
    "auth": {"auth-sessions", "auth-rate-limits", "profile-profiles"},
    "profile": SHARED_TABLES | {"platform-outbox", "profile-profiles", "profile-aliases"},
    "chat": SHARED_TABLES
    | {
        "chat-messages",
        "chat-rooms",
        "chat-members",
        "chat-tickets",
        "profile-aliases",
        "profile-profiles",
    }
    | {"platform-authors", "platform-outbox"},
    "post": SHARED_TABLES
    | {"post-posts", "post-comments", "post-likes", "post-counters", "post-tags"}
    | {"profile-aliases", "profile-profiles", "platform-authors", "platform-outbox"},
    "catalog": SHARED_TABLES,
    "ai": SHARED_TABLES | {"ai-conversations", "ai-usage"},
}

OBJECTS = {
    "auth": set(),
    "profile": {("avatars", "uploads/profile/*"), ("avatars", "avatars/*")},
    "chat": {("attachments", "uploads/chat/*"), ("attachments", "chat/*")},
    "post": {("attachments", "uploads/post/*"), ("attachments", "images/post/*")},
    "catalog": {("attachments", "uploads/catalog/*"), ("attachments", "images/catalog/*")},
    "ai": set(),
}

PARAMETERS = {
    **{service: {"cursor-key"} for service in SERVICES},
    "auth": {"cursor-key", "jwt-secret"},
    "profile": set(),
    "ai": {"cursor-key", "gemini-api-key", "openai-api-key"},
}


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Synthesized:
    return synthesize_services(environment("dev"), tmp_path_factory.mktemp("dev"))


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Synthesized:
    return synthesize_services(environment("local"), tmp_path_factory.mktemp("local"))


def statements(result: Synthesized, service: str, env: str = "dev") -> dict[str, dict[str, Any]]:
    """Returns a function's statements by Sid, with actions and resources as lists."""
    items = result.policy("aws_iam_role_policy", name=f"{service}-policy-{env}")
    return {
        item["Sid"]: {
            **item,
            "Action": [item["Action"]] if isinstance(item["Action"], str) else item["Action"],
            "Resource": [item["Resource"]]
            if isinstance(item["Resource"], str)
            else item["Resource"],
        }
        for item in items
    }


def operations(result: Synthesized, service: str) -> dict[str, set[str]]:
    """Returns the allowed operations by table. The key for a table's indexes is `<table>/index`."""
    allowed: dict[str, set[str]] = {}
    for statement in statements(result, service).values():
        for resource in statement["Resource"]:
            if match := re.search(r":table/([\w-]+)-dev(/index)?", resource):
                allowed.setdefault(match[1] + (match[2] or ""), set()).update(
                    action.removeprefix("dynamodb:") for action in statement["Action"]
                )
    return allowed


@pytest.mark.parametrize("service", SERVICES)
def test_a_function_has_the_documented_variables_and_all_variables_that_its_code_reads(
    dev: Synthesized, service: str
) -> None:
    function = dev.find_only("aws_lambda_function", function_name=f"{service}-lambda-dev")
    variables = function["environment"]["variables"]
    assert set(variables) == VARIABLES[service]
    for settings in SETTINGS[service]:
        read(settings, variables)


@pytest.mark.parametrize("service", SERVICES)
def test_a_function_can_access_only_its_own_tables_objects_and_parameters(
    dev: Synthesized, service: str
) -> None:
    assert {table.removesuffix("/index") for table in operations(dev, service)} == TABLES[service]
    resources = {resource for s in statements(dev, service).values() for resource in s["Resource"]}
    objects = {
        match.groups()
        for r in resources
        if (match := re.match(r"\$\{aws_s3_bucket\.(\w+?)_.*\}/(.+)", r))
    }
    assert objects == OBJECTS[service]
    parameters = {
        match[1] for r in resources if (match := re.search(r":parameter/multitask/dev/([\w-]+)", r))
    }
    assert parameters == PARAMETERS[service]


@pytest.mark.parametrize("service", SERVICES)
def test_permissions_have_no_wildcards_except_where_the_aws_service_requires_them(
    dev: Synthesized, service: str
) -> None:
    for sid, statement in statements(dev, service).items():
        assert not [
            action for action in statement["Action"] if "*" in action or action == "dynamodb:Scan"
        ], sid
        if "*" in statement["Resource"]:
            assert sid in {"Traces", "NetworkInterfaces"}


def test_only_auth_can_change_sessions(dev: Synthesized) -> None:
    assert {"PutItem", "UpdateItem", "DeleteItem"} < operations(dev, "auth")["auth-sessions"]
    for service in SERVICES[1:]:
        assert operations(dev, service)["auth-sessions"] <= {"GetItem", "BatchGetItem"}


def test_chat_can_create_tickets_but_not_read_them(dev: Synthesized) -> None:
    assert operations(dev, "chat")["chat-tickets"] == {"PutItem"}


def test_indexes_allow_only_queries(dev: Synthesized) -> None:
    indexed = {
        table.removesuffix("/index"): allowed
        for service in SERVICES
        for table, allowed in operations(dev, service).items()
        if table.endswith("/index")
    }
    assert set(indexed) == {
        "auth-sessions",
        "chat-messages",
        "chat-rooms",
        "chat-members",
        "post-posts",
        "post-comments",
    }
    assert all(allowed == {"Query"} for allowed in indexed.values())


def test_auth_has_only_the_user_pool_permissions_that_its_code_uses(dev: Synthesized) -> None:
    users = statements(dev, "auth")["Users"]
    assert set(users["Action"]) == {
        "cognito-idp:AdminDeleteUser",
        "cognito-idp:AdminInitiateAuth",
        "cognito-idp:AdminGetUser",
        "cognito-idp:AdminListGroupsForUser",
    }
    assert users["Resource"] == ["arn:aws:cognito-idp:us-east-1:111122223333:userpool/pool"]


@pytest.mark.parametrize("service", [service for service in SERVICES[:-1] if service not in OUTBOX])
def test_a_service_can_publish_only_with_its_own_source(dev: Synthesized, service: str) -> None:
    events = statements(dev, service)["Events"]
    assert events["Action"] == ["events:PutEvents"]
    assert events["Resource"] == [
        "arn:aws:events:us-east-1:111122223333:event-bus/multitask-events"
    ]
    assert events["Condition"] == {
        "StringEqualsIfExists": {"events:source": f"multitask.{service}"}
    }


@pytest.mark.parametrize("service", OUTBOX)
def test_a_service_with_an_outbox_can_store_only_its_own_events(
    dev: Synthesized, service: str
) -> None:
    assert "Events" not in statements(dev, service)
    outbox = statements(dev, service)["Outbox"]
    assert outbox["Action"] == ["dynamodb:PutItem"]
    assert outbox["Condition"] == {
        "ForAllValues:StringLike": {"dynamodb:LeadingKeys": f"{service}-*"}
    }


def test_ai_cannot_publish_events(dev: Synthesized) -> None:
    assert "Events" not in statements(dev, "ai")


def test_ai_has_only_the_table_permissions_that_its_code_uses(dev: Synthesized) -> None:
    allowed = operations(dev, "ai")
    assert allowed["ai-conversations"] == {"GetItem", "Query", "PutItem", "DeleteItem"}
    assert allowed["ai-usage"] == {"GetItem", "UpdateItem"}


def test_ai_gets_its_providers_from_the_environment_file(tmp_path: Path) -> None:
    ai = {
        "gemini": {
            "base_url": "https://gateway.example.com/gemini/v1beta",
            "model": "m-1",
            "thinking_level": "low",
        },
        "openai": {
            "base_url": "http://127.0.0.1:11434/v1",
            "model": "llama",
            "reasoning_effort": None,
        },
        "daily_quota": 50_000,
    }
    result = synthesize_services(environment("dev", ai=EnvironmentAi.model_validate(ai)), tmp_path)
    variables = result.variables("ai-lambda-dev")
    assert variables["GEMINI_BASE_URL"] == "https://gateway.example.com/gemini/v1beta"
    assert (variables["GEMINI_MODEL"], variables["GEMINI_THINKING_LEVEL"]) == ("m-1", "low")
    assert variables["OPENAI_BASE_URL"] == "http://127.0.0.1:11434/v1"
    assert (variables["OPENAI_MODEL"], variables["OPENAI_REASONING_EFFORT"]) == ("llama", "")
    assert read(AiSettings, variables).daily_quota == 50_000


def test_post_consumes_its_queue_of_deletions(dev: Synthesized) -> None:
    result = dev.find_only("aws_lambda_event_source_mapping", batch_size=1)
    assert function_name(dev, result["function_name"]) == "post-lambda-dev"
    assert "post-deletions" in result["event_source_arn"]
    allowed = statements(dev, "post")
    assert set(allowed["QueueSource"]["Action"]) == {
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
        "sqs:GetQueueAttributes",
    }
    assert allowed["QueueKey"]["Action"] == ["kms:Decrypt"]


def test_post_can_list_only_the_images_of_posts(dev: Synthesized) -> None:
    listing = statements(dev, "post")["ImagesOfPost"]
    assert listing["Action"] == ["s3:ListBucket"]
    assert listing["Condition"] == {"StringLike": {"s3:prefix": "images/post/*"}}


def test_chat_can_manage_only_connections_of_its_own_stage(dev: Synthesized) -> None:
    for resource in statements(dev, "chat")["Connections"]["Resource"]:
        own = r"\$\{aws_apigatewayv2_api\.\w+\.id\}/dev/(POST|DELETE)/@connections/\*"
        assert re.fullmatch(rf"arn:aws:execute-api:us-east-1:111122223333:{own}", resource)


def test_functions_use_iam_authentication_for_data_stores(
    dev: Synthesized, local: Synthesized
) -> None:
    cache = statements(dev, "chat")["Cache"]
    assert cache["Action"] == ["elasticache:Connect"]
    assert cache["Resource"] == [
        f"{CACHE}:replicationgroup:chat-cache",
        f"{CACHE}:user:chat-cache-user",
    ]
    database = statements(dev, "catalog")["Database"]
    assert database["Action"] == ["rds-db:connect"]
    assert database["Resource"] == [
        "arn:aws:rds-db:us-east-1:111122223333:dbuser:cluster-A1/catalog"
    ]
    chat, catalog = (dev.variables(f"{service}-lambda-dev") for service in ("chat", "catalog"))
    assert (chat["ELASTICACHE_USERNAME"], chat["ELASTICACHE_TLS"]) == ("chat-cache-user", "true")
    assert catalog["RDS_IAM_AUTH"] == "true"


def test_only_an_emulator_has_its_own_certificate_authority(
    dev: Synthesized, local: Synthesized
) -> None:
    for service, variable in (("chat", "ELASTICACHE_CA_FILE"), ("catalog", "RDS_CA_FILE")):
        assert variable not in dev.variables(f"{service}-lambda-dev")
        assert local.variables(f"{service}-lambda-local")[variable].endswith("authority.pem")


def test_only_chat_delivery_and_catalog_run_in_the_vpc(dev: Synthesized) -> None:
    inside = {f["function_name"] for f in dev.all("aws_lambda_function") if "vpc_config" in f}
    assert inside == {"chat-lambda-dev", "delivery-lambda-dev", "catalog-lambda-dev"}


def test_each_service_has_a_trace_group(dev: Synthesized) -> None:
    groups = {
        group["group_name"]: group["filter_expression"] for group in dev.all("aws_xray_group")
    }
    assert groups == {
        f"{service}-service-dev": f'service("{service}-lambda-dev")' for service in SERVICES
    }


def test_no_variable_of_a_function_contains_a_secret(dev: Synthesized) -> None:
    for function in dev.all("aws_lambda_function"):
        for name, value in function["environment"]["variables"].items():
            if re.search("SECRET|KEY|PASSWORD|TOKEN", name):
                assert name.endswith("_PARAMETER")
                assert value.startswith("/multitask/dev/")
