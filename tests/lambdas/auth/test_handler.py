"""Tests the whole auth function with API Gateway events, on moto."""

import io
import json
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import Any

import boto3
import pytest

from lambdas.auth.handler import build, handler
from lambdas.common.storage.dynamodb import pack
from tests.lambdas.support import (
    REGION,
    LambdaResponse,
    document,
    problem,
    rest_event,
    wrong_fields,
)

EMAIL, PASSWORD = "ann@example.com", "Passw0rd!"
ORIGIN = "https://app.example.com"
Call = Callable[..., LambdaResponse]


@pytest.fixture
def environ(aws: None, table: Callable[..., str], request: pytest.FixtureRequest) -> dict[str, str]:
    cognito = boto3.client("cognito-idp", region_name=REGION)
    pool = cognito.create_user_pool(
        PoolName="users", UsernameAttributes=["email"], AutoVerifiedAttributes=["email"]
    )
    pool_id = pool["UserPool"]["Id"]
    client = cognito.create_user_pool_client(
        UserPoolId=pool_id, ClientName="auth", ExplicitAuthFlows=["ALLOW_ADMIN_USER_PASSWORD_AUTH"]
    )
    cognito.create_group(UserPoolId=pool_id, GroupName="admin")
    boto3.client("ssm", region_name=REGION).put_parameter(
        Name="/jwt", Value="k" * 48, Type="SecureString"
    )
    boto3.client("ssm", region_name=REGION).put_parameter(
        Name="/cursor", Value="c" * 48, Type="SecureString"
    )
    boto3.client("events", region_name=REGION).create_event_bus(Name="the-bus")
    return {
        "STAGE": "local",
        "REGION": REGION,
        "CORS_ORIGINS": ORIGIN,
        # Powertools caches loggers by name, with their streams. Each test needs a different name.
        "POWERTOOLS_SERVICE_NAME": request.node.name,
        "RATE_LIMIT_ENABLED": "true",
        "COGNITO_USER_POOL_ID": pool_id,
        "COGNITO_CLIENT_ID": client["UserPoolClient"]["ClientId"],
        "DYNAMODB_TABLE_SESSIONS": table("session_id", "user_id"),
        "DYNAMODB_TABLE_RATE_LIMITS": table("limit_key"),
        "DYNAMODB_TABLE_PROFILES": table("user_id"),
        "JWT_SECRET_PARAMETER": "/jwt",
        "CURSOR_KEY_PARAMETER": "/cursor",
        "EVENT_BUS_NAME": "the-bus",
    }


@pytest.fixture
def call(environ: dict[str, str]) -> Call:
    service = build(environ)

    def send(
        method: str, path: str, body: object = None, token: str | None = None, **parts: Any
    ) -> LambdaResponse:
        headers = {"Origin": ORIGIN, **({"Authorization": f"Bearer {token}"} if token else {})}
        return service(rest_event(method, f"/v1/auth{path}", body, headers=headers, **parts), None)

    return send


@pytest.fixture
def registered(call: Call) -> str:
    response = call(
        "POST", "/register", {"email": EMAIL, "password": PASSWORD, "displayName": "Ann"}
    )
    assert response["statusCode"] == 201
    assert call("POST", "/confirm", {"email": EMAIL, "code": "123456"})["statusCode"] == 200
    user_id: str = document(response)["userId"]
    return user_id


def login(call: Call, password: str = PASSWORD) -> Any:
    response = call("POST", "/login", {"email": EMAIL, "password": password, "deviceInfo": "phone"})
    assert response["statusCode"] == 200, response
    return document(response)


def test_a_user_can_register_log_in_refresh_and_log_out(call: Call, registered: str) -> None:
    tokens = login(call)
    user = {"userId": registered, "email": EMAIL, "displayName": "Ann", "roles": ["user"]}
    assert tokens.keys() == {"accessToken", "refreshToken", "tokenType", "expiresIn", "user"}
    assert (tokens["tokenType"], tokens["expiresIn"], tokens["user"]) == ("Bearer", 900, user)
    access = tokens["accessToken"]
    assert document(call("GET", "/me", token=access)) == user

    (session,) = document(call("GET", "/sessions", token=access))["items"]
    assert session.keys() == {"sessionId", "device", "createdAt", "lastUsedAt", "current"}
    assert (session["device"], session["current"]) == ("phone", True)

    pair = document(call("POST", "/refresh", {"refreshToken": tokens["refreshToken"]}))
    assert pair.keys() == {"accessToken", "refreshToken", "tokenType", "expiresIn"}
    assert pair["refreshToken"] != tokens["refreshToken"]

    assert call("POST", "/logout", {}, token=pair["accessToken"])["statusCode"] == 204
    assert problem(call("GET", "/me", token=access), 401)["code"] == "session_ended"
    problem(call("POST", "/refresh", {"refreshToken": pair["refreshToken"]}), 401)


def test_the_profile_name_replaces_the_account_name(
    call: Call, registered: str, environ: dict[str, str]
) -> None:
    first = login(call)
    profile = {
        "user_id": registered,
        "display_name": "Ann of Tea",
        "privacy": {"displayName": "private"},
    }
    dynamodb = boto3.client("dynamodb", region_name=REGION)
    dynamodb.put_item(TableName=environ["DYNAMODB_TABLE_PROFILES"], Item=pack(profile))
    assert document(call("GET", "/me", token=first["accessToken"]))["displayName"] == "Ann of Tea"
    assert login(call)["user"]["displayName"] == "Ann of Tea"
    # Other services read the user's name from the session.
    assert call("POST", "/refresh", {"refreshToken": first["refreshToken"]})["statusCode"] == 200
    sessions = dynamodb.scan(TableName=environ["DYNAMODB_TABLE_SESSIONS"])["Items"]
    assert {session["display_name"]["S"] for session in sessions} == {"Ann of Tea"}


def test_a_password_can_be_changed_and_reset(call: Call, registered: str) -> None:
    access, other_access = login(call)["accessToken"], login(call)["accessToken"]
    wrong = call(
        "POST",
        "/change-password",
        {"currentPassword": "Wr0ng-one", "newPassword": "N3w-passw"},
        token=access,
    )
    assert wrong_fields(problem(wrong, 422)) == {"currentPassword"}
    changed = call(
        "POST",
        "/change-password",
        {"currentPassword": PASSWORD, "newPassword": "N3w-passw"},
        token=access,
    )
    assert changed["statusCode"] == 204
    assert call("GET", "/me", token=access)["statusCode"] == 200
    problem(call("GET", "/me", token=other_access), 401)

    assert call("POST", "/forgot-password", {"email": EMAIL})["statusCode"] == 202
    reset = call(
        "POST", "/reset-password", {"email": EMAIL, "code": "654321", "newPassword": "An0ther-one"}
    )
    assert reset["statusCode"] == 204
    problem(call("GET", "/me", token=access), 401)
    assert login(call, "An0ther-one")


def test_an_anonymous_user_can_read_their_user_but_cannot_change_a_password(call: Call) -> None:
    response = call("POST", "/anonymous", {})
    assert response["statusCode"] == 201
    anonymous = document(response)
    assert anonymous["capabilities"] == ["read", "post_anonymous", "chat_anonymous"]
    token = anonymous["accessToken"]
    me = document(call("GET", "/me", token=token))
    assert (me["userId"], me["displayName"]) == (anonymous["anonymousId"], anonymous["displayName"])
    change = {"currentPassword": PASSWORD, "newPassword": "N3w-passw"}
    assert (
        problem(call("POST", "/change-password", change, token=token), 403)["code"]
        == "anonymous_not_allowed"
    )


def test_granted_roles_apply_to_the_next_token(
    call: Call, registered: str, environ: dict[str, str]
) -> None:
    tokens = login(call)
    cognito = boto3.client("cognito-idp", region_name=REGION)
    pool = environ["COGNITO_USER_POOL_ID"]
    cognito.admin_add_user_to_group(UserPoolId=pool, Username=registered, GroupName="admin")
    fresh = document(call("POST", "/refresh", {"refreshToken": tokens["refreshToken"]}))
    assert document(call("GET", "/me", token=fresh["accessToken"]))["roles"] == ["user", "admin"]


def test_a_failed_login_does_not_reveal_whether_the_email_is_registered(
    call: Call, registered: str
) -> None:
    known = call("POST", "/login", {"email": EMAIL, "password": "wrong"})
    unknown = call("POST", "/login", {"email": "nobody@example.com", "password": "wrong"})
    assert problem(known, 401) == problem(unknown, 401)


def test_the_sixth_failed_login_in_a_minute_returns_429(call: Call, registered: str) -> None:
    for _ in range(5):
        problem(call("POST", "/login", {"email": EMAIL.upper(), "password": "wrong"}), 401)
    limited = call("POST", "/login", {"email": EMAIL, "password": PASSWORD})
    assert problem(limited, 429)["code"] == "too_many_requests"
    assert 1 <= int(limited["headers"]["Retry-After"]) <= 60
    elsewhere = call(
        "POST", "/login", {"email": EMAIL, "password": PASSWORD}, source_ip="198.51.100.9"
    )
    assert elsewhere["statusCode"] == 200


def test_registering_an_existing_email_with_other_capitals_returns_409(
    call: Call, registered: str
) -> None:
    body = {"email": EMAIL.upper(), "password": PASSWORD, "displayName": "Ann"}
    assert problem(call("POST", "/register", body), 409)["code"] == "email_taken"


def test_registration_reports_all_invalid_fields(call: Call) -> None:
    response = call(
        "POST", "/register", {"email": "x", "password": "weak", "displayName": " ", "admin": True}
    )
    assert wrong_fields(problem(response, 422)) == {"email", "password", "displayName", "admin"}


@pytest.mark.parametrize(
    "password",
    [
        "Sh0rt-!",
        "nouppercase1!",
        "NOLOWERCASE1!",
        "NoDigits!!",
        "NoSymbol11",
        " Passw0rd!",
        "Passw0rd! ",
    ],
)
def test_the_password_policy_is_enforced(call: Call, password: str) -> None:
    response = call(
        "POST", "/register", {"email": EMAIL, "password": password, "displayName": "Ann"}
    )
    assert wrong_fields(problem(response, 422)) == {"password"}


@pytest.mark.parametrize(
    "device", ["x" * 201, {"k": "x" * 201}, {str(i): "x" for i in range(11)}, 5, ["x"]]
)
def test_device_info_has_a_maximum_length(call: Call, device: object) -> None:
    response = call("POST", "/login", {"email": EMAIL, "password": PASSWORD, "deviceInfo": device})
    assert all(field.startswith("deviceInfo") for field in wrong_fields(problem(response, 422)))


def test_deleting_another_users_session_returns_404(call: Call, registered: str) -> None:
    access = login(call)["accessToken"]
    stranger = document(call("POST", "/anonymous", {}))["accessToken"]
    (session,) = document(call("GET", "/sessions", token=access))["items"]
    problem(call("DELETE", f"/sessions/{session['sessionId']}", token=stranger), 404)
    assert call("DELETE", f"/sessions/{session['sessionId']}", token=access)["statusCode"] == 204
    problem(call("GET", "/me", token=access), 401)


def test_neither_passwords_nor_tokens_are_logged(
    stdout: io.StringIO, call: Call, registered: str
) -> None:
    tokens = login(call)
    call("POST", "/login", {"email": EMAIL, "password": "Wr0ng-one"})
    call("GET", "/me", token=tokens["accessToken"])
    call("POST", "/refresh", {"refreshToken": tokens["refreshToken"]})
    output = stdout.getvalue()
    lines = [json.loads(line) for line in output.splitlines()]
    assert len(lines) >= 5
    assert all(line["correlation_id"] for line in lines)
    for secret in (
        PASSWORD,
        "Wr0ng-one",
        EMAIL,
        tokens["accessToken"],
        tokens["refreshToken"],
        "k" * 48,
    ):
        assert secret not in output


def test_a_missing_variable_returns_500_and_is_named_in_the_log(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("COGNITO_CLIENT_ID", raising=False)
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "missing-variable")
    monkeypatch.setenv("CORS_ORIGINS", f"https://other.example.com, {ORIGIN}")
    with redirect_stdout(io.StringIO()) as output:
        headers = {"Origin": ORIGIN, "X-Correlation-Id": "trace-1"}
        response = handler(rest_event("GET", "/v1/auth/me", headers=headers), None)
    problem(response, 500)
    assert response["headers"]["Access-Control-Allow-Origin"] == ORIGIN
    assert response["headers"]["X-Correlation-Id"] == "trace-1"
    assert json.loads(output.getvalue())["correlation_id"] == "trace-1"
    assert "COGNITO_CLIENT_ID" not in response["body"]
    assert "COGNITO_CLIENT_ID" in output.getvalue()
