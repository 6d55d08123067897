"""Loads the AWS provider's CDKTF bindings lazily, in Python and in Node, which jsii runs.

The bindings are 2,137 generated Python modules and as many JavaScript ones. A stack uses about 80,
but a normal import loads all. After `load_lazily`, importing
`cdktf_cdktf_provider_aws.<resource>` loads only that resource: in Python, an empty parent package
replaces the package's `__init__`; in Node, preload.cjs turns the requires of the index file into
getters. `load_lazily` also removes jsii's second Node process, which relays every message
(runtime.cjs).

The synthesized Terraform is the same. If the provider or jsii has an unexpected structure, the
normal import is used, with a warning. PLATFORM_PROVIDER_IMPORT=ordinary forces the normal import.

PLATFORM_CDK=cdktn runs the same sources on CDK Terrain, the maintained fork of CDKTF. Its packages
are then imported under CDKTF's names (docs/decisions/0095-cdk-terrain.md).
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
import warnings
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

CORE = "cdktf"
PACKAGE = "cdktf_cdktf_provider_aws"
PRELOAD = Path(__file__).with_name("preload.cjs")
SELECTOR = "PLATFORM_CDK"


@dataclass(frozen=True)
class Implementation:
    """The import names of a CDK: its `core` library and its `bindings` of the AWS provider."""

    core: str
    bindings: str


IMPLEMENTATIONS = {
    "cdktf": Implementation(CORE, PACKAGE),
    "cdktn": Implementation("cdktn", "cdktn_provider_aws"),
}


class ImplementationError(ImportError):
    """PLATFORM_CDK has an unknown value, or selects packages that are not installed."""


class _Unavailable(MetaPathFinder):
    """Makes every import of CDKTF raise the given error.

    Otherwise, CDKTF could be loaded although PLATFORM_CDK selects another CDK.
    """

    def __init__(self, error: ImplementationError) -> None:
        self._error = error

    def find_spec(self, fullname: str, *_: object) -> None:
        if fullname.partition(".")[0] in {CORE, PACKAGE}:
            raise self._error


def selected_implementation() -> Implementation:
    """Returns the implementation that PLATFORM_CDK selects. The default is CDKTF.

    Raises:
        ImplementationError: The value is unknown, or the packages are not installed.
    """
    name = os.environ.get(SELECTOR) or CORE
    implementation = IMPLEMENTATIONS.get(name)
    if implementation is None:
        known = " or ".join(IMPLEMENTATIONS)
        raise ImplementationError(f"{SELECTOR} is {name!r}: set it to {known}, or unset it")
    if importlib.util.find_spec(implementation.core) is None:
        target = "setup" if name == CORE else name
        raise ImplementationError(
            f"{SELECTOR} is {name}, but {sys.executable} has no package {implementation.core}:"
            f" run `make {target}` once. `ops synth` then finds the package. Before you start other"
            ' programs, run `eval "$(ops env <environment>)"`'
        )
    return implementation


def load_lazily() -> bool:
    """Enables lazy loading. Call it before anything imports cdktf or the bindings.

    Uses the normal import if the bindings are already loaded or (with a warning) have an unexpected
    structure. If PLATFORM_CDK selects packages that are not installed, later imports of CDKTF raise
    an ImplementationError.

    Returns:
        Whether the bindings load lazily.
    """
    if PACKAGE in sys.modules:
        return getattr(sys.modules[PACKAGE], "__lazy__", False)
    try:
        selected = selected_implementation()
    except ImplementationError as error:
        # The error is raised when the CDK is imported, not here, because many commands import this
        # package without using a construct.
        sys.meta_path.insert(0, _Unavailable(error))
        return False
    if os.environ.get("PLATFORM_PROVIDER_IMPORT") == "ordinary":
        _import_all(selected)
        return False
    spec = importlib.util.find_spec(selected.bindings)
    if (
        spec is None
        or not spec.submodule_search_locations
        or not _has_known_shape(spec.submodule_search_locations[0])
    ):
        warnings.warn(
            f"{selected.bindings} has an unexpected structure: importing all of it, which is slow",
            stacklevel=2,
        )
        _import_all(selected)
        return False
    _preload_in_node()
    if selected.core != CORE:
        sys.modules[CORE] = importlib.import_module(selected.core)
    sys.modules[PACKAGE] = _bare_package(spec)
    return True


def _import_all(selected: Implementation) -> None:
    """Imports all modules of the core package and of the AWS package of CDKTF or CDK Terrain.

    Also registers each module of CDK Terrain under the name that it has in CDKTF, because this
    project imports those names.
    """
    for installed, name in ((selected.core, CORE), (selected.bindings, PACKAGE)):
        importlib.import_module(installed)
        for module in [*sys.modules]:
            if module == installed or module.startswith(f"{installed}."):
                sys.modules[name + module.removeprefix(installed)] = sys.modules[module]


def _has_known_shape(location: str) -> bool:
    """Returns True for a package with one subpackage per resource and one shared jsii assembly."""
    root = Path(location)
    return (root / "_jsii" / "__init__.py").is_file() and (
        root / "provider" / "__init__.py"
    ).is_file()


def _bare_package(spec: ModuleSpec) -> ModuleType:
    package = importlib.util.module_from_spec(
        ModuleSpec(PACKAGE, loader=None, origin=spec.origin, is_package=True)
    )
    package.__path__ = list(spec.submodule_search_locations or [])
    package.__lazy__ = True  # type: ignore[attr-defined]
    return package


def _preload_in_node() -> None:
    """Adds preload.cjs to NODE_OPTIONS, which jsii's Node inherits. Keeps existing options."""
    # In NODE_OPTIONS, as in JSON, a backslash escapes quotation marks and backslashes. Node has no
    # escapes for other letters, so `ensure_ascii` must be off.
    path = json.dumps(str(PRELOAD), ensure_ascii=False)
    option = f"--preserve-symlinks --require {path}"
    options = os.environ.get("NODE_OPTIONS", "")
    if option not in options:
        os.environ["NODE_OPTIONS"] = f"{options} {option}".strip()
