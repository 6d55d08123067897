"""The resources of the auth service: registration, sessions and tokens."""

from __future__ import annotations

from constructs import Construct

from modules.base.access import Access, table_access
from modules.base.policy import Statement
from modules.secrets import parameter_access
from modules.services.service import Service, ServicePlatform


class Auth(Service):
    """The service at /v1/auth. Its routes have no authorizer, because it issues the tokens.

    Args:
        platform: The settings and resources that all services share.
        user_pool_id, user_pool_arn, user_pool_client_id: The Cognito user pool.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        platform: ServicePlatform,
        user_pool_id: str,
        user_pool_arn: str,
        user_pool_client_id: str,
    ) -> None:
        tables = platform.tables
        users = Statement(
            sid="Users",
            # The statement omits SignUp, ChangePassword and similar calls, for which Cognito checks
            # no IAM permissions.
            actions=[
                # Deletes an unconfirmed user when the same email address registers again.
                "cognito-idp:AdminDeleteUser",
                "cognito-idp:AdminGetUser",
                "cognito-idp:AdminInitiateAuth",
                "cognito-idp:AdminListGroupsForUser",
            ],
            resources=[user_pool_arn],
        )
        account_seconds = platform.environment.auth.account_seconds
        super().__init__(
            scope,
            id_,
            platform=platform,
            service="auth",
            variables={"ACCOUNT_SECONDS": str(account_seconds)} if account_seconds else None,
            path="auth",
            description="Registration, sessions and tokens",
            public=True,
            has_idempotent_routes=False,
            access=[
                Access(
                    {
                        "COGNITO_USER_POOL_ID": user_pool_id,
                        "COGNITO_CLIENT_ID": user_pool_client_id,
                    },
                    [users],
                ),
                table_access(
                    tables["auth-sessions"],
                    "GetItem",
                    "PutItem",
                    "UpdateItem",
                    "DeleteItem",
                    "BatchWriteItem",
                    index_sid="SessionsOfUser",
                ),
                table_access(tables["auth-rate-limits"], "GetItem", "UpdateItem"),
                # Reads the current names of users.
                table_access(tables["profile-profiles"], "BatchGetItem", sid="Names"),
                parameter_access(platform.parameters.jwt_secret),
            ],
        )
