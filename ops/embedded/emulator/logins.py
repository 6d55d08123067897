"""Checks IAM tokens for logins to the database and the cache, as RDS and ElastiCache do."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from ministack.core import iam_evaluator, responses, sigv4
from ministack.services import elasticache, rds, secretsmanager

from .calls import Application, Message

MAX_LIFETIME = 900
"""Seconds. RDS and ElastiCache accept tokens for at most 15 minutes after they were signed."""
CLOCK_SKEW = 300
"""Seconds by which the time of a signature may be ahead of AWS's clock."""
EMPTY_PAYLOAD = hashlib.sha256(b"").hexdigest()


class LoginRefusedError(Exception):
    """Raised if a login is not allowed. The message states why, without parts of the password."""


@dataclass(frozen=True)
class Token:
    """An IAM token whose signature and time are valid."""

    host: str
    fields: dict[str, str]
    account: str
    region: str
    access_key: str


def allow_database_login(user: str, password: str, endpoint: str) -> None:
    """Accepts the master user's password, or for other users an IAM token for the endpoint.

    One embedded database replaces all clusters of the account, so it accepts a login that any of
    them would accept.

    Raises:
        LoginRefusedError: No cluster accepts the login.
    """
    clusters = list(rds._clusters._data.items())
    if any(_is_master(cluster, user, password) for _, cluster in clusters):
        return
    token = verify(password, "rds-db")
    if token.host != endpoint or token.fields.get("DBUser") != user:
        raise LoginRefusedError("the token is for another endpoint or user")
    for (account, region, _), cluster in clusters:
        if (account, region) == (token.account, token.region) and cluster.get(
            "IAMDatabaseAuthenticationEnabled"
        ):
            resource = f"dbuser:{cluster['DbClusterResourceId']}/{user}"
            if is_allowed(token, "rds-db:connect", f"arn:aws:rds-db:{region}:{account}:{resource}"):
                return
    raise LoginRefusedError(
        f"no policy allows rds-db:connect as {user}, or no cluster has IAM authentication"
    )


def _is_master(cluster: Any, user: str, password: str) -> bool:
    arn = (cluster.get("MasterUserSecret") or {}).get("SecretArn")
    secrets = [item for item in secretsmanager._secrets._data.values() if item["ARN"] == arn]
    return user == cluster.get("MasterUsername") and any(
        json.loads(version["SecretString"])["password"] == password
        for secret in secrets
        for version in secret["Versions"].values()
        if "AWSCURRENT" in version["Stages"]
    )


def allow_cache_login(user: str, password: str) -> str:
    """Accepts an IAM token for a user of a replication group.

    Returns the user's access string (its permissions in ElastiCache's notation).

    Raises:
        LoginRefusedError: The login is not allowed.
    """
    token = verify(password, "elasticache")
    if token.fields.get("User") != user:
        raise LoginRefusedError("the token is for another user")
    scope = (token.account, token.region)
    group = elasticache._replication_groups.get_scoped(*scope, token.host)
    if group is None:
        raise LoginRefusedError(f"the replication group {token.host} does not exist")
    for member in _users(scope, group):
        if member["UserName"] == user and member["Authentication"]["Type"] == "iam":
            for resource in (group["ARN"], member["ARN"]):
                if not is_allowed(token, "elasticache:Connect", resource):
                    raise LoginRefusedError(f"no policy allows elasticache:Connect to {resource}")
            return str(member["AccessString"])
    raise LoginRefusedError(f"{token.host} has no user {user} with IAM authentication")


def _users(scope: tuple[str, str], group: Any) -> Iterator[Any]:
    for name in group.get("UserGroupIds", ()):
        for user in elasticache._user_groups.get_scoped(*scope, name, {}).get("UserIds", ()):
            member = elasticache._users.get_scoped(*scope, user)
            if member:
                yield member


def verify(text: str, service: str) -> Token:
    """Checks the signature and the time of the token in a password, and returns the token.

    Raises:
        LoginRefusedError: The password is not a token, or the token is not valid.
    """
    parsed = urlsplit(f"//{text}")
    fields = dict(parse_qsl(parsed.query, keep_blank_values=True))
    scope = fields.get("X-Amz-Credential", "").split("/")
    if len(scope) != 5 or scope[3:] != [service, "aws4_request"]:
        raise LoginRefusedError(f"the password is not a token for {service}")
    access_key, day, region = scope[:3]
    date, now = fields.get("X-Amz-Date", ""), time.time()
    try:
        signed = datetime.strptime(f"{date}+0000", "%Y%m%dT%H%M%SZ%z").timestamp()
        lifetime = min(int(fields.get("X-Amz-Expires", "")), MAX_LIFETIME)
    except ValueError:
        raise LoginRefusedError("the token has no valid date or lifetime") from None
    if not signed - CLOCK_SKEW <= now < signed + lifetime:
        raise LoginRefusedError("the token has expired, or is not valid yet")
    account = responses._account_from_sts_session(access_key) or responses.get_account_id()
    credential = iam_evaluator.resolve_credential(
        access_key, account, fields.get("X-Amz-Security-Token", "")
    )
    if isinstance(credential, iam_evaluator.CredentialResolutionError):
        raise LoginRefusedError("the token was signed with unknown or expired credentials")
    request = sigv4.build_canonical_request(
        "GET", "/", {"host": parsed.netloc}, fields, "host", payload_hash=EMPTY_PAYLOAD
    )
    signature = sigv4.calculate_signature(
        credential.secret_access_key,
        day,
        region,
        service,
        sigv4.build_string_to_sign(date, day, region, service, request),
    )
    if not sigv4.signatures_match(signature, fields.get("X-Amz-Signature", "")):
        raise LoginRefusedError("the token's signature is wrong")
    return Token(parsed.netloc, fields, account, region, access_key)


def is_allowed(token: Token, action: str, resource: str) -> bool:
    """Returns True if the policies of the token's signer allow an action on a resource."""
    with responses.request_scope(token.account, token.region):
        principal = iam_evaluator.resolve_principal(token.access_key, token.account)
        if isinstance(principal, iam_evaluator.AuthError):
            return False
        if principal.policies is None:  # The root user may do everything
            return True
        context = iam_evaluator.EvalContext(
            principal_arn=principal.arn,
            principal_type=principal.type,
            principal_account=token.account,
            action=action,
            resource_arn=resource,
            region=token.region,
            principal_keys=principal.keys,
        )
        result = iam_evaluator.evaluate(context, principal.policies, *principal.limits)
        return bool(result.decision == "Allow")


def store_authentication_mode() -> None:
    """Stores whether a cache user authenticates with IAM. ministack stores only passwords."""
    create_user = elasticache._create_user

    def create_user_with_mode(parameters: Any) -> Any:
        response = create_user(parameters)
        mode = elasticache._p(parameters, "AuthenticationMode.Type")
        user = elasticache._users.get(elasticache._p(parameters, "UserId"))
        if user and mode == "iam":
            user["Authentication"] = {"Type": "iam"}
        return response

    elasticache._create_user = create_user_with_mode


def add_login_request(application: Application, path: str) -> Application:
    """Adds the request PUT `path`, with which the proxies check logins.

    The body is JSON with `service` (`database` or `cache`) and the arguments of
    `allow_database_login` or `allow_cache_login`. The response is 200 with the result, or 403 with
    the reason.
    """
    checks: dict[str, Any] = {"database": allow_database_login, "cache": allow_cache_login}

    async def respond(scope: Message, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or (scope["method"], scope["path"]) != ("PUT", path):
            await application(scope, receive, send)
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        login = json.loads(body)
        try:
            status, content = 200, checks[login.pop("service")](**login)
        except LoginRefusedError as error:
            status, content = 403, str(error)
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(content).encode()})

    return respond
