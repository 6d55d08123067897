"""The auth service: registration, sessions and tokens."""

from __future__ import annotations

from constructs import Construct

from modules.base.policy import Statement
from modules.services.service import Service, ServicePlatform
from modules.services.statements import index_access, table_access


class Auth(Service):
    """/v1/auth, the only public path, since it issues tokens.

    Args:
        platform: What all services share.
        user_pool_id, user_pool_arn, user_pool_client_id: The Cognito pool of the users.
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
        sessions, rate_limits = (
            platform.tables["auth-sessions"],
            platform.tables["auth-rate-limits"],
        )
        profiles = platform.tables["profile-profiles"]
        jwt_secret = platform.parameters.jwt_secret
        super().__init__(
            scope,
            id_,
            platform=platform,
            service="auth",
            path="auth",
            description="Registration, sessions and tokens",
            public=True,
            collections=False,
            variables={
                "COGNITO_USER_POOL_ID": user_pool_id,
                "COGNITO_CLIENT_ID": user_pool_client_id,
                "DYNAMODB_TABLE_RATE_LIMITS": rate_limits.name,
                "DYNAMODB_TABLE_PROFILES": profiles.name,
                "JWT_SECRET_PARAMETER": jwt_secret.name,
            },
            secrets=[jwt_secret],
            statements=[
                Statement(
                    sid="Users",
                    # Calls made as a user (SignUp, ChangePassword, ...) need no permission.
                    actions=[
                        "cognito-idp:AdminGetUser",
                        "cognito-idp:AdminInitiateAuth",
                        "cognito-idp:AdminListGroupsForUser",
                    ],
                    resources=[user_pool_arn],
                ),
                table_access(
                    "Sessions",
                    sessions,
                    "GetItem",
                    "PutItem",
                    "UpdateItem",
                    "DeleteItem",
                    "BatchWriteItem",
                ),
                index_access("SessionsOfUser", sessions),
                table_access("RateLimits", rate_limits, "GetItem", "UpdateItem"),
                # The current names of users.
                table_access("Names", profiles, "BatchGetItem"),
            ],
        )
