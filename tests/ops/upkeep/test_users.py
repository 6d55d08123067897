"""Tests how roles are granted to users and revoked."""

from __future__ import annotations

import dataclasses

import boto3
import pytest

from lambdas.common.storage.dynamodb import pack, unpack
from modules.tables import TABLES
from ops.cloud import Cloud
from ops.errors import OperatorError
from ops.upkeep.users import Role, Users
from tests.lambdas.tables import table_arguments
from tests.ops.clouds import store_state


@pytest.fixture
def people(cloud: Cloud) -> Users:
    cognito = boto3.client("cognito-idp", region_name="us-east-1")
    pool = cognito.create_user_pool(PoolName="p", UsernameAttributes=["email"])["UserPool"]["Id"]
    for role in Role:
        cognito.create_group(UserPoolId=pool, GroupName=role.value)
    cognito.admin_create_user(
        UserPoolId=pool,
        Username="ann@example.com",
        UserAttributes=[{"Name": "email", "Value": "ann@example.com"}],
    )
    store_state(cloud, {"cognito_user_pool_id": pool})
    return Users(cloud)


def test_role_is_granted_once_and_revoked_once(people: Users) -> None:
    email = "ann@example.com"
    assert [people.grant(email, Role.ADMIN), people.grant(email, Role.ADMIN)] == [True, False]
    assert people.show(email)["roles"] == ["user", "admin"]
    assert [people.revoke(email, Role.ADMIN), people.revoke(email, Role.ADMIN)] == [True, False]
    assert people.show(email)["roles"] == ["user"]


def test_all_forms_of_an_address_are_the_same_account(people: Users) -> None:
    forms = ("Ann@EXAMPLE.com", "\uff41nn@example.com", "ANN@example.COM")
    assert people.grant(forms[0], Role.ADMIN)
    assert [people.show(form)["roles"] for form in forms] == [["user", "admin"]] * 3
    assert people.revoke(forms[1], Role.ADMIN)


@pytest.mark.parametrize(
    "text", ["", "ann", "ann@example", 'a"@example.com', "a\u202e@example.com"]
)
def test_text_that_is_not_an_address_is_rejected(people: Users, text: str) -> None:
    with pytest.raises(OperatorError, match="is not an email address: use one such as"):
        people.show(text)


def test_unknown_address_is_rejected(people: Users) -> None:
    with pytest.raises(OperatorError, match=r"No user has registered as bob@example\.com in dev"):
        people.grant("bob@example.com", Role.MODERATOR)


def test_changing_a_role_clears_the_account_that_sessions_remember(
    cloud: Cloud, people: Users
) -> None:
    dynamodb = boto3.client("dynamodb", region_name="us-east-1")
    [definition] = [table for table in TABLES if table.name == "auth-sessions"]
    dynamodb.create_table(**{**table_arguments(definition), "TableName": "auth-sessions-dev"})
    user_id = people.show("ann@example.com")["userId"]
    account = {"email": "ann@example.com", "roles": ["user"], "read_at": 1}
    sessions = {"s-1": user_id, "s-2": user_id, "s-3": "another"}
    for session_id, owner in sessions.items():
        item = {"session_id": session_id, "user_id": owner, "account": account}
        dynamodb.put_item(TableName="auth-sessions-dev", Item=pack(item))

    def sessions_with_account() -> set[str]:
        items = dynamodb.scan(TableName="auth-sessions-dev")["Items"]
        assert {unpack(item)["session_id"] for item in items} == set(sessions)
        return {item["session_id"]["S"] for item in items if "account" in item}

    people.grant("ann@example.com", Role.ADMIN)
    # In dev, `account_seconds` is 0. Then sessions do not use stored accounts, so `grant` does not
    # delete them.
    assert sessions_with_account() == set(sessions)
    auth = cloud.environment.auth.model_copy(update={"account_seconds": 3600})
    environment = cloud.environment.model_copy(update={"auth": auth})
    remembering_cloud = dataclasses.replace(cloud, environment=environment)
    item = {"session_id": "s-1", "user_id": user_id, "account": account}

    def store_late(seconds: float) -> None:
        assert seconds == cloud.environment.function("auth").timeout
        assert sessions_with_account() == {"s-3"}
        dynamodb.put_item(TableName="auth-sessions-dev", Item=pack(item))

    assert Users(remembering_cloud, store_late).revoke("ann@example.com", Role.ADMIN)
    assert sessions_with_account() == {"s-3"}
