"""Creates and removes the demonstration community on this machine."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any

import urllib3
from botocore.exceptions import ClientError

from ops.cloud import EMBEDDED, Cloud
from ops.console import Progress
from ops.errors import OperatorError
from ops.seed.client import Client
from ops.seed.community import address, load_community
from ops.seed.community_writer import CommunityWriter
from ops.smoke.person import prepare_account
from ops.terraform.state import outputs


@dataclass(frozen=True)
class CommunityAccounts:
    """The accounts of the community. They share one password, which each run replaces."""

    addresses: list[str]
    password: str = field(repr=False)


def seed_community(cloud: Cloud) -> CommunityAccounts:
    """Creates the people, rooms, posts and listings that do not exist yet.

    Raises:
        OperatorError: The environment is not the local one, or the API rejected a request.
    """
    _require_local(cloud)
    community = load_community()
    password = f"{secrets.token_urlsafe(12)}-aA1"
    with Progress() as progress:
        clients, ids = _sign_in(cloud, list(community.people), password)
        CommunityWriter(clients, ids, progress.show).write(community)
    return CommunityAccounts([address(person) for person in community.people], password)


def remove_community(cloud: Cloud) -> list[str]:
    """Deletes the community's rooms, posts, listings and accounts.

    Returns the email addresses of the deleted accounts.

    Raises:
        OperatorError: The environment is not the local one, or the API rejected a request.
    """
    _require_local(cloud)
    cognito, pool = cloud.client("cognito-idp"), outputs(cloud)["cognito_user_pool_id"]
    people = [
        person for person in load_community().people if _exists(cognito, pool, address(person))
    ]
    password = f"{secrets.token_urlsafe(12)}-aA1"
    with Progress() as progress:
        clients, ids = _sign_in(cloud, people, password)
        for person, client in clients.items():
            progress.show(f"content of {person}")
            delete_content(client, ids[person])
        for person in people:
            cognito.admin_delete_user(UserPoolId=pool, Username=address(person))
    return [address(person) for person in people]


def _require_local(cloud: Cloud) -> None:
    if cloud.environment.name != EMBEDDED:
        raise OperatorError(
            f"ops seed works only on {EMBEDDED}: demonstration data does not belong in"
            f" {cloud.environment.name}"
        )


def _sign_in(
    cloud: Cloud, people: list[str], password: str
) -> tuple[dict[str, Client], dict[str, str]]:
    deployed = outputs(cloud)
    cognito, pool = cloud.client("cognito-idp"), deployed["cognito_user_pool_id"]
    connections = urllib3.PoolManager(retries=False, maxsize=4, ca_certs=cloud.authority)
    public = Client(deployed["api_url"], connections)
    clients, ids = {}, {}
    for person in people:
        prepare_account(cognito, pool, address(person), person.capitalize(), password)
        credentials = {"email": address(person), "password": password}
        session = public.call("POST", "/v1/auth/login", credentials)
        clients[person] = Client(deployed["api_url"], connections, session["accessToken"])
        ids[person] = session["user"]["userId"]
    return clients, ids


def delete_content(client: Client, user_id: str) -> None:
    """Deletes the rooms, posts and listings of a user."""
    for room in list(client.list_items("/v1/chat/rooms")):
        if room["createdBy"] == user_id:
            client.call("DELETE", f"/v1/chat/rooms/{room['roomId']}", allow=404)
    for post in list(client.list_items("/v1/posts", authorId=user_id)):
        client.call("DELETE", f"/v1/posts/{post['postId']}", allow=404)
    for listing in list(client.list_items("/v1/catalog/listings", sellerId=user_id)):
        client.call("DELETE", f"/v1/catalog/listings/{listing['listingId']}", allow=404)


def _exists(cognito: Any, pool: str, email: str) -> bool:
    try:
        cognito.admin_get_user(UserPoolId=pool, Username=email)
    except ClientError as error:
        if error.response["Error"]["Code"] == "UserNotFoundException":
            return False
        raise
    return True
