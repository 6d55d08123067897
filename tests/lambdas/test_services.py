"""The functions of the services whose code is to come, from the event to the answer."""

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

from lambdas.common.caller import Caller
from lambdas.common.dynamodb import pack
from lambdas.migration.handler import handler as migrate
from tests.lambdas.support import NOW, REGION, Answer, caller, problem, rest_event

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Call = Callable[..., Answer]
CALLS = {  # one call that a registered user may make, with what it needs
    "catalog": ("POST", "/v1/catalog/listings"),
}
FUTURE = NOW * 2  # these functions run on the system's clock


@pytest.fixture
def environ(table: Callable[..., str], dynamodb: "DynamoDBClient") -> dict[str, str]:
    sessions = table("session_id")
    item = {"session_id": "session-1", "user_id": "user-1", "expires_at": int(FUTURE)}
    dynamodb.put_item(TableName=sessions, Item=pack(item))
    return {
        "STAGE": "local",
        "REGION": REGION,
        "CORS_ORIGINS": "*",
        "DYNAMODB_TABLE_SESSIONS": sessions,
        "DYNAMODB_TABLE_IDEMPOTENCY": table("idempotency_key"),
        "CURSOR_KEY_PARAMETER": "/cursor",
    }


def call(service: str, environ: dict[str, str], who: Caller | None, body: object = None, **changes: Any) -> Answer:
    method, path = CALLS[service]
    event = rest_event(method, path, body, authorizer=who.to_context() if who else None)
    answer: Answer = import_module(f"lambdas.{service}.handler").build(environ)({**event, **changes}, None)
    return answer


@pytest.mark.parametrize("service", CALLS)
def test_everything_but_the_code_is_there(service: str, environ: dict[str, str], dynamodb: "DynamoDBClient") -> None:
    user, anonymous = caller("user", expires_at=FUTURE), caller(expires_at=FUTURE)
    assert problem(call(service, environ, user, {}), 501)["code"] == "not_implemented"
    problem(call(service, environ, None, {}), 401)
    problem(call(service, environ, caller("user", expires_at=NOW - 10**9), {}), 401)
    problem(call(service, environ, user, "{"), 400)
    problem(call(service, environ, user, f'"{"x" * 2**20}"'), 413)
    problem(call(service, environ, user, {}, multiValueHeaders={"Content-Type": ["text/plain"]}), 415)
    problem(call(service, environ, user, path=CALLS[service][1] + "/a/b/c/d/e/f/g"), 404)
    problem(call(service, environ, user, httpMethod="TRACE"), 405)
    problem(call(service, environ, anonymous, {}), 403)
    dynamodb.delete_item(TableName="session_id-table", Key=pack({"session_id": "session-1"}))
    assert problem(call(service, environ, user, {}), 401)["code"] == "session_ended"


def test_migration_answers_its_invoker_with_a_problem() -> None:
    answer = migrate({}, None)
    assert (answer["status"], answer["code"]) == (501, "not_implemented")
