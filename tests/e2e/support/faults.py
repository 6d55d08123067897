"""Temporarily removes permissions and event sources from functions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.e2e.support.platform import Platform

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
        """The statements of the role's policy by sid."""
        return {statement["Sid"]: statement for statement in self._document["Statement"]}

    @contextmanager
    def remove_actions(self, sid: str, *actions: str) -> Iterator[None]:
        """Removes actions from a statement during the block.

        Removes the whole statement if no action is given.
        """
        remaining = []
        for statement in self._document["Statement"]:
            if statement["Sid"] != sid:
                remaining.append(statement)
            elif allowed := [
                action for action in list_actions(statement) if actions and action not in actions
            ]:
                remaining.append({**statement, "Action": allowed})
        with self._replace_statements(remaining):
            yield

    @contextmanager
    def _replace_statements(self, statements: list[Statement]) -> Iterator[None]:
        self._write({**self._document, "Statement": statements})
        try:
            yield
        finally:
            self._write(self._document)

    def _write(self, document: dict[str, Any]) -> None:
        self._iam.put_role_policy(**self._name, PolicyDocument=json.dumps(document))


def list_actions(statement: Statement) -> list[str]:
    """Returns the actions of a statement. IAM writes a single action as a string."""
    action = statement["Action"]
    return [action] if isinstance(action, str) else list(action)


@contextmanager
def disable_event_source(platform: Platform, function: str, arn_part: str) -> Iterator[None]:
    """Disables the function's event source whose ARN contains `arn_part` during the block."""
    client = platform.aws("lambda")
    sources = client.list_event_source_mappings(FunctionName=f"{function}-lambda-local")[
        "EventSourceMappings"
    ]
    [uuid] = [source["UUID"] for source in sources if arn_part in source["EventSourceArn"]]
    client.update_event_source_mapping(UUID=uuid, Enabled=False)
    try:
        yield
    finally:
        client.update_event_source_mapping(UUID=uuid, Enabled=True)


@contextmanager
def change_queue_attributes(platform: Platform, queue: str, **attributes: str) -> Iterator[str]:
    """Changes attributes of a queue, such as its delay, during the block. Yields its URL."""
    sqs = platform.aws("sqs")
    url = str(sqs.get_queue_url(QueueName=queue)["QueueUrl"])
    before = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=list(attributes))["Attributes"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes=attributes)
    try:
        yield url
    finally:
        sqs.set_queue_attributes(QueueUrl=url, Attributes=before)
