"""Manages the roles of users, which are groups of the environment's Cognito user pool."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from ops.accounts import account_address
from ops.cloud import Cloud
from ops.errors import OperatorError
from ops.terraform.state import outputs


class Role(StrEnum):
    """A role that can be granted. All users also have the role `user`."""

    MODERATOR = "moderator"
    ADMIN = "admin"


class Users:
    """The users of one environment.

    Raises:
        OperatorError: The environment has not been deployed. Each method raises the same error if
            no user has the email address, or if the text is not an email address.
    """

    def __init__(self, cloud: Cloud) -> None:
        self._cognito = cloud.client("cognito-idp")
        self._pool = outputs(cloud)["cognito_user_pool_id"]
        self._environment = cloud.environment.name

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
        name = self._find(email)["Username"]
        if role in self._granted(name):
            return False
        self._cognito.admin_add_user_to_group(
            UserPoolId=self._pool, Username=name, GroupName=role.value
        )
        return True

    def revoke(self, email: str, role: Role) -> bool:
        """Revokes a role from a user. Returns False if the user did not have the role."""
        name = self._find(email)["Username"]
        if role not in self._granted(name):
            return False
        self._cognito.admin_remove_user_from_group(
            UserPoolId=self._pool, Username=name, GroupName=role.value
        )
        return True

    def _find(self, email: str) -> dict[str, Any]:
        # The address contains no quotes, which would end the filter.
        address = account_address(email)
        users = self._cognito.list_users(UserPoolId=self._pool, Filter=f'email = "{address}"')[
            "Users"
        ]
        if not users:
            raise OperatorError(f"No user has registered as {address} in {self._environment}")
        user: dict[str, Any] = users[0]
        return user

    def _granted(self, name: str) -> list[str]:
        groups = self._cognito.admin_list_groups_for_user(UserPoolId=self._pool, Username=name)[
            "Groups"
        ]
        return sorted(group["GroupName"] for group in groups)
