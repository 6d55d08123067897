"""Temporarily removes permissions and event sources from functions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.e2e.support import Platform

Statement = dict[str, Any]


class Role:
    """The role of a function."""

    def __init__(self, platform: Platform, function: str) -> None:
        self._iam = platform.aws("iam")
        self._name = {
            "RoleName": f"{function}-role-local",
            "PolicyName": f"{function}-policy-local",
        }
        self._document: dict[str, Any] = self._iam.get_role_policy(**self._name)["PolicyDocument"]

    @property
    def statements(self) -> dict[str, Statement]:
        """Returns the statements of the role's policies by sid."""
        return {statement["Sid"]: statement for statement in self._document["Statement"]}

    @contextmanager
    def without(self, sid: str, *actions: str) -> Iterator[None]:
        """Removes actions from a statement, or the whole statement if no action is given."""
        kept = []
        for statement in self._document["Statement"]:
            if statement["Sid"] != sid:
                kept.append(statement)
            elif left := [
                action for action in actions_of(statement) if actions and action not in actions
            ]:
                kept.append({**statement, "Action": left})
        with self._holding(kept):
            yield

    @contextmanager
    def _holding(self, statements: list[Statement]) -> Iterator[None]:
        self._put({**self._document, "Statement": statements})
        try:
            yield
        finally:
            self._put(self._document)

    def _put(self, document: dict[str, Any]) -> None:
        self._iam.put_role_policy(**self._name, PolicyDocument=json.dumps(document))


def actions_of(statement: Statement) -> list[str]:
    """Returns the actions of a statement. IAM writes a single action as a string."""
    action = statement["Action"]
    return [action] if isinstance(action, str) else list(action)


@contextmanager
def without_source(platform: Platform, function: str, part: str) -> Iterator[None]:
    """Disables the function's event source whose ARN contains `part`."""
    client = platform.aws("lambda")
    sources = client.list_event_source_mappings(FunctionName=f"{function}-lambda-local")[
        "EventSourceMappings"
    ]
    [uuid] = [source["UUID"] for source in sources if part in source["EventSourceArn"]]
    client.update_event_source_mapping(UUID=uuid, Enabled=False)
    try:
        yield
    finally:
        client.update_event_source_mapping(UUID=uuid, Enabled=True)


@contextmanager
def queue_attributes(platform: Platform, queue: str, **changed: str) -> Iterator[str]:
    """Temporarily changes attributes of a queue, such as its delay. Yields the queue's URL."""
    sqs = platform.aws("sqs")
    url = str(sqs.get_queue_url(QueueName=queue)["QueueUrl"])
    before = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=list(changed))["Attributes"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes=changed)
    try:
        yield url
    finally:
        sqs.set_queue_attributes(QueueUrl=url, Attributes=before)
