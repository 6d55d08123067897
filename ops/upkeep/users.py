"""Manages the roles of users, which are groups of the environment's Cognito user pool."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from typing import Any

from ops.accounts import account_address
from ops.cloud import Cloud
from ops.errors import OperatorError
from ops.terraform.state import outputs

SETTLING_TIME = 10
"""Seconds after a role change until every request that began before it has ended: the timeout of
the auth function."""


class Role(StrEnum):
    """A role that can be granted. All users also have the role `user`."""

    MODERATOR = "moderator"
    ADMIN = "admin"


class _Sessions:
    """The sessions of an environment, which contain cached roles of their users."""

    def __init__(self, cloud: Cloud) -> None:
        self._dynamodb = cloud.client("dynamodb")
        self._table = f"auth-sessions-{cloud.environment.name}"

    def remove_cached_roles(self, user_id: str) -> None:
        """Removes the cached roles from the sessions of a user."""
        pages = self._dynamodb.get_paginator("query").paginate(
            TableName=self._table,
            IndexName="user-id-index",
            KeyConditionExpression="user_id = :user",
            ExpressionAttributeValues={":user": {"S": user_id}},
        )
        for item in (item for page in pages for item in page["Items"]):
            # Without the condition, the update would recreate a session that was revoked in the
            # meantime.
            with suppress(self._dynamodb.exceptions.ConditionalCheckFailedException):
                self._dynamodb.update_item(
                    TableName=self._table,
                    Key={"session_id": item["session_id"]},
                    UpdateExpression="REMOVE account",
                    ConditionExpression="attribute_exists(session_id)",
                )


class Users:
    """The users of one environment.

    Raises:
        OperatorError: The environment has not been deployed. Each method raises OperatorError if
            `email` is not an email address, or if no user has this address.
    """

    def __init__(self, cloud: Cloud, sleep: Callable[[float], None] = time.sleep) -> None:
        self._sleep = sleep
        self._cognito = cloud.client("cognito-idp")
        self._pool = outputs(cloud)["cognito_user_pool_id"]
        self._environment = cloud.environment.name
        self._sessions = _Sessions(cloud) if cloud.environment.auth.account_seconds else None

    def show(self, email: str) -> dict[str, Any]:
        """Returns a user's id, email address, status and roles, and whether login is enabled."""
        user = self._find(email)
        attributes = {item["Name"]: item["Value"] for item in user["Attributes"]}
        return {
            "userId": attributes["sub"],
            "email": attributes["email"],
            "status": user["UserStatus"],
            "enabled": user["Enabled"],
            "roles": ["user", *self._granted(user["Username"])],
        }

    def grant(self, email: str, role: Role) -> bool:
        """Grants a role to a user. Returns False if the user already had the role."""
        user = self._find(email)
        name = user["Username"]
        if role in self._granted(name):
            return False
        self._cognito.admin_add_user_to_group(
            UserPoolId=self._pool, Username=name, GroupName=role.value
        )
        self._apply_at_next_refresh(user)
        return True

    def revoke(self, email: str, role: Role) -> bool:
        """Revokes a role from a user. Returns False if the user did not have the role."""
        user = self._find(email)
        name = user["Username"]
        if role not in self._granted(name):
            return False
        self._cognito.admin_remove_user_from_group(
            UserPoolId=self._pool, Username=name, GroupName=role.value
        )
        self._apply_at_next_refresh(user)
        return True

    def _apply_at_next_refresh(self, user: dict[str, Any]) -> None:
        """Makes a change of a user's roles effective at the next refresh of each session."""
        if self._sessions:
            [user_id] = [item["Value"] for item in user["Attributes"] if item["Name"] == "sub"]
            self._sessions.remove_cached_roles(user_id)
            # A login or refresh that began before the change may still store the old roles in a
            # session after this first removal.
            self._sleep(SETTLING_TIME)
            self._sessions.remove_cached_roles(user_id)

    def _find(self, email: str) -> dict[str, Any]:
        # account_address rejects quotes, which would end the filter.
        address = account_address(email)
        users = self._cognito.list_users(UserPoolId=self._pool, Filter=f'email = "{address}"')[
            "Users"
        ]
        if not users:
            raise OperatorError(
                f"No user has registered as {address} in {self._environment}: check the address"
            )
        user: dict[str, Any] = users[0]
        return user

    def _granted(self, name: str) -> list[str]:
        groups = self._cognito.admin_list_groups_for_user(UserPoolId=self._pool, Username=name)[
            "Groups"
        ]
        return sorted(group["GroupName"] for group in groups)
