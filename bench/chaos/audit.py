"""Compares the data that the platform stores with the writes that it acknowledged."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.chaos.clients import Crew
from ops.embedded.services import ACCESS_KEY
from tests.e2e.support.files import read_files
from tests.e2e.support.platform import Platform
from tests.e2e.support.users import Person

ALLOWED_LOSS = 1.0
"""Seconds. Writes that were acknowledged during this time before a kill may be lost."""


@dataclass
class Findings:
    """The differences that one check of the stored data found."""

    acknowledged: int = 0
    lost: list[str] = field(default_factory=list)
    """Writes that are not stored, although they were acknowledged after the fault, or more than
    ALLOWED_LOSS seconds before it.
    """
    lost_in_last_second: list[str] = field(default_factory=list)
    duplicates: list[str] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    """Rooms whose sequence numbers are not 1, 2, 3 and so on."""
    disagreements: list[str] = field(default_factory=list)
    """Counters, such as a post's `commentsCount`, that differ from the number of items."""

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.duplicates or self.gaps or self.disagreements)


def check(crew: Crew, faults_at: Sequence[float]) -> Findings:
    """Compares the stored items of a crew (test users) with the acknowledged writes and the
    counters.

    Args:
        faults_at: the times of the faults in seconds since the epoch.
    """
    findings = Findings(acknowledged=len(crew.writes))
    posts = _items(crew, "/v1/posts", authorId=crew.author.user_id)
    comments = _items(crew, f"/v1/posts/{crew.commented}/comments")
    messages = _messages(crew)
    stored = {
        "sign-up": _users(crew.platform),
        "post": Counter(post["content"] for post in posts),
        "like": Counter({post["postId"]: post["likesCount"] for post in posts}),
        "comment": Counter(comment["content"] for comment in comments),
        "listing": Counter(
            listing["title"]
            for listing in _items(crew, "/v1/catalog/listings", sellerId=crew.author.user_id)
        ),
        "message": Counter(message["content"] for message in messages),
    }
    for kind, writes in crew.acknowledged().items():
        for key, write in writes.items():
            name = f"{kind} {key}"
            count = stored[kind][key]
            if count > 1:
                findings.duplicates.append(f"{name}: {count} times")
            elif count == 0:
                ages = [at - write.acknowledged for at in faults_at if at >= write.acknowledged]
                age = min(ages, default=None)
                is_allowed = age is not None and age <= ALLOWED_LOSS
                (findings.lost_in_last_second if is_allowed else findings.lost).append(
                    f"{name}, acknowledged after the last fault"
                    if age is None
                    else f"{name}, acknowledged {age:.2f} s before the next fault"
                )
    numbers = sorted(message["seq"] for message in messages)
    if numbers != list(range(1, len(numbers) + 1)):
        findings.gaps.append(f"room {crew.room}: sequence numbers are not 1, 2, 3...: {numbers}")
    count = next(p["commentsCount"] for p in posts if p["postId"] == crew.commented)
    if count != len(comments):
        findings.disagreements.append(f"commentsCount is {count} instead of {len(comments)}")
    return findings


def wrong_statistics(crew: Crew) -> list[str]:
    """Returns the statistics in the users' profiles that differ from the number of stored items."""
    posts = _items(crew, "/v1/posts", authorId=crew.author.user_id)
    comments = _items(crew, f"/v1/posts/{crew.commented}/comments")
    expected = {
        "author's postsCount": len(posts),
        "author's likesReceived": sum(post["likesCount"] for post in posts),
        "reader's commentsCount": len(comments),
    }
    counted = {
        f"{name}'s {statistic}": value
        for name, person in (("author", crew.author), ("reader", crew.reader))
        for statistic, value in _profile(crew, person)["stats"].items()
    }
    return [
        f"{name} is {counted[name]} instead of {number}"
        for name, number in expected.items()
        if counted[name] != number
    ]


def logged_secrets(crew: Crew, logs: Path, since: float) -> list[str]:
    """Returns the log files and log groups that contain a secret.

    The secrets are the newest signing key, and the passwords and tokens of the crew's users.
    """
    secrets = [crew.platform.read_signing_key()[1]]
    for person in (crew.author, crew.reader):
        secrets += [person.password, person.access_token, person.refresh_token]
    assert ACCESS_KEY not in secrets
    found = [
        str(file)
        for file, content in read_files(logs)
        if any(secret.encode() in content for secret in secrets)
    ]
    client = crew.platform.aws("logs")
    for page in client.get_paginator("describe_log_groups").paginate():
        for group in page["logGroups"]:
            name = group["logGroupName"]
            events = client.get_paginator("filter_log_events").paginate(
                logGroupName=name, startTime=int(since * 1000)
            )
            if any(
                secret in event["message"]
                for answer in events
                for event in answer["events"]
                for secret in secrets
            ):
                found.append(name)
    return found


def wait_for_statistics(crews: dict[str, Crew], seconds: float) -> dict[str, list[str]]:
    """Waits until all statistics are right, and returns those still wrong at the timeout."""
    deadline = time.monotonic() + seconds
    while True:
        wrong = {name: wrong_statistics(crew) for name, crew in crews.items()}
        if not any(wrong.values()) or time.monotonic() > deadline:
            return wrong
        time.sleep(2)


def _profile(crew: Crew, person: Person) -> dict[str, Any]:
    profile: dict[str, Any] = crew.send(person, "GET", "/v1/profile").expect(200)
    return profile


def _items(crew: Crew, path: str, **query: str) -> list[dict[str, Any]]:
    """Reads all pages of a list route and returns their items."""
    items: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        parameters = "&".join(f"{k}={v}" for k, v in {**query, "limit": "100", **cursor}.items())
        page = crew.send(crew.author, "GET", f"{path}?{parameters}").expect(200)
        items += page["items"]
        if not page["nextCursor"]:
            return items
        cursor = {"cursor": page["nextCursor"]}


def _messages(crew: Crew) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    while True:
        last = messages[-1]["seq"] if messages else 0
        path = f"/v1/chat/rooms/{crew.room}/messages?afterSeq={last}&limit=100"
        page = crew.send(crew.author, "GET", path).expect(200)["items"]
        if not page:
            return messages
        messages += page


def _users(platform: Platform) -> Counter[str]:
    """Counts the confirmed users of the user pool by email address without its domain."""
    client = platform.aws("cognito-idp")
    pool = client.list_user_pools(MaxResults=10)["UserPools"][0]["Id"]
    pages = client.get_paginator("list_users").paginate(UserPoolId=pool)
    return Counter(
        attribute["Value"].partition("@")[0]
        for page in pages
        for user in page["Users"]
        if user["UserStatus"] == "CONFIRMED"
        for attribute in user["Attributes"]
        if attribute["Name"] == "email"
    )
