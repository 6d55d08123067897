"""Saves waits for jsii's kernel: Python imports bindings while Node loads the assemblies behind them, and asks for no reference twice."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from typing import Any

from jsii._kernel.providers import process
from jsii._kernel.types import GetRequest, GetResponse, InvokeRequest, LoadRequest, SetRequest

_NEEDED = ("handshake", "send", "_next_message")
_REFERENCE = "${TfToken["
"""What the text begins with that stands for another resource's attribute until synthesis."""


def save_waits() -> bool:
    """Makes jsii take Node's greeting and its word that an assembly is loaded when the first object is made, instead of waiting at the import,
    and remember the references it was given: a third of all reads of attributes repeat an earlier one.

    Returns:
        False where jsii has another shape and goes on waiting (with a warning).
    """
    base = getattr(process, "_NodeProcess", None)
    if base is None or not all(hasattr(base, name) for name in _NEEDED):
        warnings.warn(
            "jsii has another shape than expected: its imports wait for Node, which is slow",
            stacklevel=2,
        )
        return False

    class SavingProcess(base):  # type: ignore[misc, valid-type]
        """Node's replies come in the order of the requests, so what is still owed is read before the next reply."""

        def __init__(self) -> None:
            super().__init__()
            self._owed: list[Callable[[], object]] = []
            self._references: dict[str, dict[str, GetResponse]] = {}

        def handshake(self) -> None:
            self._owed.append(super().handshake)

        def send(self, request: Any, response_type: Any) -> Any:
            if isinstance(request, LoadRequest):
                message = json.dumps(self._serializer.unstructure(request))
                self._process.stdin.write(f"{message}\n".encode())
                self._process.stdin.flush()
                self._owed.append(self._take_loaded)
                return None
            while self._owed:
                self._owed.pop(0)()
            if isinstance(request, GetRequest):
                return self._get(request, response_type)
            if isinstance(request, SetRequest | InvokeRequest):
                self._references.pop(request.objref.ref, None)
            return super().send(request, response_type)

        def _get(self, request: GetRequest, response_type: Any) -> Any:
            known = self._references.setdefault(request.objref.ref, {})
            if request.property in known:
                return known[request.property]
            reply = super().send(request, response_type)
            if isinstance(reply, GetResponse) and str(reply.value).startswith(_REFERENCE):
                known[request.property] = reply
            return reply

        def _take_loaded(self) -> None:
            reply = self._next_message()
            if "ok" not in reply:
                raise RuntimeError(f"Node could not load an assembly: {reply.get('error', reply)}")

    setattr(process, "_NodeProcess", SavingProcess)  # noqa: B010 (a type checker lets nobody assign to a class)
    return True
