"""Invokes functions on demand, with the events of the smoke tests as examples."""

from __future__ import annotations

import base64
import json
import secrets
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from botocore.config import Config

from environments.resource_names import ALIAS
from ops.cloud import Cloud
from ops.errors import OperatorError
from ops.functions.versions import Functions
from ops.inspection.lines import RUNTIME, LogLine, parse_line
from ops.inspection.masking import mask_secrets, parse_json
from ops.smoke import InvocationTransport, Suite, load_suites, signed_in_users
from ops.smoke.run import VARIABLE, resolve
from ops.smoke.suite import Request
from ops.smoke.transport import HttpRequest, authorizer_context, rest_event
from ops.terraform.state import outputs
from ops.upkeep.logs import Line

USERS = ("person", "anonymous")
"""The users of the smoke tests. Each has variables for a token and for the authorizer's context."""
KNOWN = {
    *("run", "email", "password", "personId"),
    *(f"{user}{value}" for user in USERS for value in ("Token", "Context")),
}
"""The variables that an event may contain, because `invoke` can set them. The smoke tests have more
variables, whose values they read from responses to earlier requests.
"""
SETTINGS = Config(read_timeout=70, retries={"total_max_attempts": 1})
"""No retries, because a second attempt would invoke the function again.

The read timeout exceeds the longest timeout of a function, 60 s.
"""


@dataclass(frozen=True)
class Example:
    """An event for a function. `invoke` sets its variables, such as `${personToken}`."""

    service: str
    name: str
    kind: str
    """`rest`, `websocket`, `sqs`, `eventbridge`, `schedule` or `authorizer`."""
    event: dict[str, Any]


@dataclass(frozen=True)
class Invocation:
    """The outcome of an invocation. Tokens, passwords and signatures are masked."""

    service: str
    version: str
    """The version that was executed."""
    request_id: str
    result: Any
    error: str | None
    """The error that the function raised. None if it returned a result."""
    duration: float
    """Duration in milliseconds, measured by the caller."""
    lines: list[LogLine]
    """The log lines of the invocation, of which Lambda returns the last 4 KB."""


def list_examples(service: str) -> list[Example]:
    """Returns the example events of a function, which are requests of the smoke tests.

    Omits requests that need the response of another request. Returns an empty list if the function
    has no examples.
    """
    suite = load_suites().get(service)
    if suite is None:
        return []
    requests = [_rest_example(suite, request) for request in suite.requests]
    frames = suite.socket.frames if suite.socket else []
    examples = [
        *requests,
        *(_frame_example(service, frame.send) for frame in frames),
        *(Example(service, each.name, _kind(each.event), each.event) for each in suite.events),
    ]
    usable = {each.name: each for each in examples if _variables(each.event) <= KNOWN}
    return list(usable.values())


def find_example(service: str, name: str) -> Example:
    """Returns the example with this name, or the only example whose name contains `name`.

    Raises:
        OperatorError: No example of the function matches, or several match.
    """
    examples = list_examples(service)
    matches = [each for each in examples if each.name == name]
    matches = matches or [each for each in examples if name.lower() in each.name.lower()]
    if len(matches) != 1:
        names = "; ".join(each.name for each in matches or examples)
        raise OperatorError(
            f"{service} has {'several examples' if matches else 'no example'} {name!r}: use"
            + (f" one of: {names}" if names else " --event")
        )
    return matches[0]


def invoke_function(
    cloud: Cloud, service: str, event: Mapping[str, Any], *, write: bool = False
) -> Invocation:
    """Invokes the live version of a function, and waits for the result.

    Signs in the users of the smoke tests if the event contains one of their variables.

    Args:
        write: Confirms that the function may change data. Required if the environment keeps its
            data (`removal_policy: retain`).

    Raises:
        OperatorError: `write` is required but False, or the environment has no such function.
    """
    if cloud.environment.removal_policy == "retain" and not write:
        raise OperatorError(
            f"{cloud.environment.name} keeps its data, and a function may change it: add --write"
            " to invoke it"
        )
    deployed = outputs(cloud)
    functions = Functions(cloud, deployed["functions"])
    [name] = [functions.names[each] for each in functions.select(service)]
    client = cloud.client("lambda", settings=SETTINGS)
    with _resolved(cloud, deployed, functions, event) as resolved:
        begun = time.monotonic()
        response = client.invoke(
            FunctionName=name,
            Qualifier=ALIAS,
            LogType="Tail",
            Payload=json.dumps(resolved).encode(),
        )
        payload = response["Payload"].read().decode(errors="replace")
        duration = round((time.monotonic() - begun) * 1000, 1)
    result = mask_secrets(parse_json(payload))
    error = None
    if "FunctionError" in response:
        details = result if isinstance(result, dict) else {"errorMessage": result}
        kind, text = details.get("errorType", ""), details.get("errorMessage", "")
        error = f"{kind}: {text}" if kind else str(text)
    log = base64.b64decode(response.get("LogResult", "")).decode(errors="replace")
    now = int(time.time() * 1000)
    return Invocation(
        service=service,
        version=response.get("ExecutedVersion", ""),
        request_id=response["ResponseMetadata"].get("RequestId", ""),
        result=result,
        error=error,
        duration=duration,
        lines=[
            parse_line(Line(now, text, service))
            for text in log.splitlines()
            if text and not text.startswith(RUNTIME)
        ],
    )


def _rest_example(suite: Suite, request: Request) -> Example:
    http = HttpRequest(request.method, request.path, request.headers, request.body, None)
    event = rest_event(suite, http)
    suffix = "" if request.as_ == "person" else f", as {request.as_}"
    if request.as_ in USERS:
        header = f"Bearer ${{{request.as_}Token}}"
        event["headers"] |= {"Authorization": header}
        event["multiValueHeaders"] |= {"Authorization": [header]}
        if not suite.public:
            event["requestContext"]["authorizer"] = f"${{{request.as_}Context}}"
    return Example(suite.service, f"{request.call}{suffix}", "rest", event)


def _frame_example(service: str, frame: Mapping[str, Any]) -> Example:
    action = str(frame["action"])
    context = {
        "routeKey": action,
        "eventType": "MESSAGE",
        "requestId": str(uuid.uuid4()),
        "connectionId": "example",
        "authorizer": "${personContext}",
    }
    event = {"requestContext": context, "body": json.dumps(frame), "isBase64Encoded": False}
    return Example(service, f"WebSocket {action}", "websocket", event)


def _kind(event: Mapping[str, Any]) -> str:
    if event.get("source") == "aws.events":
        return "schedule"
    if event.get("type") == "TOKEN":
        return "authorizer"
    bodies = [record.get("body", "") for record in event.get("Records", [])]
    return "eventbridge" if any('"detail-type"' in body for body in bodies) else "sqs"


def _variables(event: Mapping[str, Any]) -> set[str]:
    return set(VARIABLE.findall(json.dumps(event)))


@contextmanager
def _resolved(
    cloud: Cloud, deployed: Mapping[str, Any], functions: Functions, event: Mapping[str, Any]
) -> Iterator[Any]:
    """Yields the event with values for its variables.

    If the event needs test users, they stay signed in until the `with` block ends.
    """
    used = _variables(event)
    if unknown := used - KNOWN:
        raise OperatorError(
            f"The event has unknown variables: {', '.join(sorted(unknown))}. Use"
            f" {', '.join(sorted(KNOWN))}"
        )
    if used <= {"run"}:
        yield resolve(dict(event), {"run": secrets.token_hex(4)})
        return
    pool, suites = deployed["cognito_user_pool_id"], load_suites()
    with signed_in_users(cloud, pool, suites["auth"], InvocationTransport(functions)) as users:
        tokens = {"person": users.person, "anonymous": users.anonymous}
        variables: dict[str, Any] = {
            **users.variables,
            **{f"{user}Token": token for user, token in tokens.items()},
            **{f"{user}Context": authorizer_context(token) for user, token in tokens.items()},
        }
        yield resolve(dict(event), variables)
