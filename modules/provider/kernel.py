"""Makes jsii wait less for Node, by loading assemblies in the background and caching references.

This changes a private class of jsii, so it applies only to the version that it was written for. Any
other version works unchanged, which makes synthesis slower
(docs/decisions/0097-jsii-waits-less.md).
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from jsii._kernel.providers import process
from jsii._kernel.types import GetRequest, GetResponse, InvokeRequest, LoadRequest, SetRequest

KNOWN_VERSION = "1.142.0"
"""The version of jsii whose private class `DeferringProcess` extends.

Before changing it, compare `_NodeProcess` of both versions in jsii/_kernel/providers/process.py.
"""
_NEEDED = ("handshake", "send", "_next_message")
_REFERENCE = "${TfToken["
"""The prefix of CDKTF's placeholder for another resource's attribute."""


def reduce_waits() -> bool:
    """Makes jsii wait for Node only when the first object is created, not at each import.

    Also caches references, because a third of all attribute reads repeat an earlier read.

    Returns:
        False if jsii has another version or an unexpected structure. jsii is then left unchanged,
        with a warning.
    """
    installed = version("jsii")
    base = getattr(process, "_NodeProcess", None)
    if installed != KNOWN_VERSION:
        reason = f"jsii is {installed}, not {KNOWN_VERSION}"
    elif base is None or not all(hasattr(base, name) for name in _NEEDED):
        reason = "jsii has an unexpected structure"
    else:
        setattr(process, "_NodeProcess", _defer(base))  # noqa: B010 (mypy rejects an assignment)
        return True
    warnings.warn(f"{reason}: its imports wait for Node, which is slow", stacklevel=2)
    return False


def _defer(base: Any) -> Any:
    """Returns a subclass of `base` (jsii's process) that waits only when a response is needed."""

    class DeferringProcess(base):  # type: ignore[misc]
        """Waits for the responses to load requests only before a request of another type."""

        def __init__(self) -> None:
            super().__init__()
            self._pending: list[Callable[[], object]] = []
            self._references: dict[str, dict[str, GetResponse]] = {}

        def handshake(self) -> None:
            self._pending.append(super().handshake)

        def send(self, request: Any, response_type: Any) -> Any:
            if isinstance(request, LoadRequest):
                message = json.dumps(self._serializer.unstructure(request))
                self._process.stdin.write(f"{message}\n".encode())
                self._process.stdin.flush()
                self._pending.append(self._read_load_response)
                return None
            while self._pending:
                self._pending.pop(0)()
            if isinstance(request, GetRequest):
                return self._get(request, response_type)
            if isinstance(request, SetRequest | InvokeRequest):
                self._references.pop(request.objref.ref, None)
            return super().send(request, response_type)

        def _get(self, request: GetRequest, response_type: Any) -> Any:
            known = self._references.setdefault(request.objref.ref, {})
            if request.property in known:
                return known[request.property]
            response = super().send(request, response_type)
            if isinstance(response, GetResponse) and str(response.value).startswith(_REFERENCE):
                known[request.property] = response
            return response

        def _read_load_response(self) -> None:
            response = self._next_message()
            if "ok" not in response:
                error = response.get("error", response)
                raise RuntimeError(f"Node could not load an assembly: {error}")

    return DeferringProcess
