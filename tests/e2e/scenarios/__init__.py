"""Scenarios of the functions: generators that call all routes and send all events."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from pkgutil import iter_modules

from tests.e2e.scenarios.context import Scenario


def _scenarios(function: str) -> Sequence[Scenario]:
    module = import_module(f"{__name__}.{function}")
    return [
        value
        for name, value in vars(module).items()
        if name.startswith("run_") and value.__module__ == module.__name__
    ]


SCENARIOS: Mapping[str, Sequence[Scenario]] = {
    module.name: _scenarios(module.name)
    for module in iter_modules(__path__)
    if module.name != "context"
}
"""The scenarios by function.

Each scenario is a function `run_*` in the module that has the function's name.
"""
