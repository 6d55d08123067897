"""Adds services and actions that ministack lacks, and a request that lists archived events."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from heapq import nlargest
from types import ModuleType
from typing import Any
from urllib.parse import parse_qs

import ministack.app
from ministack.core import iam_actions
from ministack.core.responses import (
    AccountRegionScopedDict,
    error_response_json,
    get_account_id,
    get_region,
    json_response,
)
from ministack.services import eventbridge

from .calls import Application, Message

Data = dict[str, Any]
Action = Callable[[Data], Data]
"""Receives the parameters of a call, and returns the members of the response."""


class CallError(Exception):
    """Raised by an action. The client receives the code and the message as an error of AWS."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def add_service(
    name: str,
    actions: Mapping[str, Action],
    find_resource: Callable[[Data], str],
    **stores: AccountRegionScopedDict,
) -> None:
    """Adds an AWS service to ministack.

    Args:
        name: the service's name in botocore, in IAM actions and in signatures.
        actions: the service's actions, by name.
        find_resource: returns the ARN that IAM policies must allow for a call.
        stores: the service's data. ministack saves the data, and loads it when it starts.
    """
    module: Any = ModuleType(f"ministack.services.{name}")
    module.handle_request = _reject_action
    module.get_state = dict
    module.load_persisted_state = lambda _: None
    add_actions(module, name, actions, **stores)
    ministack.app._loaded_modules[name] = module
    ministack.app._state_map[name] = name
    ministack.app.SERVICE_REGISTRY[name] = {"module": name}
    ministack.app.SERVICE_HANDLERS[name] = ministack.app._lazy_handler(name)
    iam_actions.SERVICE_TO_IAM_NAMESPACE[name] = name
    iam_actions._BOTOCORE_SERVICE_MAP[name] = [name]
    extract = iam_actions.extract_resource_arn

    def extract_resource(service: str, *arguments: Any) -> Any:
        if service != name:
            return extract(service, *arguments)
        return find_resource(json.loads(arguments[3] or b"{}"))

    iam_actions.extract_resource_arn = extract_resource


def add_actions(
    module: Any, service: str, actions: Mapping[str, Action], **stores: AccountRegionScopedDict
) -> None:
    """Adds actions to a module of ministack that implements a service with a JSON protocol.

    Args:
        stores: the data of the actions. ministack saves and loads the data as part of the module's
            state.
    """
    handle, get_state = module.handle_request, module.get_state
    load_state = module.load_persisted_state

    async def handle_added(method: str, path: str, headers: Any, body: bytes, query: Any) -> Any:
        action = iam_actions.extract_iam_action(service, method, path, headers, body, query) or ""
        execute = actions.get(action.partition(":")[2])
        if execute is None:
            return await handle(method, path, headers, body, query)
        try:
            return json_response(execute(json.loads(body or b"{}")))
        except CallError as error:
            return error_response_json(error.code, str(error), 400)

    def load_with_stores(state: Data) -> None:
        load_state(state)
        for name, store in stores.items():
            store.update(state.get(name, {}))

    module.handle_request = handle_added
    module.get_state = lambda: {**get_state(), **stores}
    module.load_persisted_state = load_with_stores


async def _reject_action(*_: Any) -> Any:
    return error_response_json("UnknownOperationException", "The action is not emulated.", 400)


def build_arn(service: str, resource: str) -> str:
    """Returns the ARN of a resource in the account and region of the current call."""
    return f"arn:aws:{service}:{get_region()}:{get_account_id()}:{resource}"


def latest_events(limit: int) -> list[dict[str, Any]]:
    """Returns the latest events in all archives, newest first, with `detail` as a JSON value."""
    events = [
        event
        for archive in list(eventbridge._archives._data.values())
        # An archive appends its events, so the latest are at its end.
        for event in archive.get("Events", [])[-limit:]
    ]
    return [
        {
            "id": event["EventId"],
            "time": event["Time"],
            "source": event["Source"],
            "type": event["DetailType"],
            "detail": json.loads(event["Detail"]),
        }
        for event in nlargest(limit, reversed(events), key=lambda event: int(event["Time"]))
    ]


def add_events_request(application: Application, path: str) -> Application:
    """Adds the request GET `path`, which returns archived events.

    AWS has no such request: it can only replay an archive.

    The query parameter `limit` is the maximum number of events. Its default is 100.
    """

    async def respond(scope: Message, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or (scope["method"], scope["path"]) != ("GET", path):
            await application(scope, receive, send)
            return
        limit = parse_qs(scope["query_string"].decode()).get("limit", ["100"])[0]
        status, result = (
            (200, latest_events(int(limit)))
            if re.fullmatch("[1-9][0-9]{0,4}", limit)
            else (400, f"limit={limit} is not a number from 1 to 99999")
        )
        content = json.dumps(result).encode()
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    return respond
