"""Tests how roles are granted to users and revoked."""

from __future__ import annotations

import boto3
import pytest

from ops.cloud import Cloud
from ops.errors import OperatorError
from ops.upkeep.users import Role, Users
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
def test_text_that_is_no_address_is_rejected(people: Users, text: str) -> None:
    with pytest.raises(OperatorError, match="is not an email address: use one such as"):
        people.show(text)


def test_unknown_address_is_rejected(people: Users) -> None:
    with pytest.raises(OperatorError, match=r"No user has registered as bob@example\.com in dev"):
        people.grant("bob@example.com", Role.MODERATOR)
