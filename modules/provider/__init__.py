"""Loads the AWS provider's bindings lazily, on both sides of jsii.

The bindings are 2,137 generated Python modules and as many JavaScript ones; a stack uses some 80. Imported the ordinary way all of
them are loaded. `load_lazily` makes later imports of `cdktf_cdktf_provider_aws.<resource>` load that resource alone: in Python
a bare parent package stands in for the package's `__init__`, in Node a preload (preload.cjs) turns the barrel file's
requires into getters. It also takes out three waits of jsii: for a second Node that would pass every message on (runtime.cjs), for
Node to have loaded an assembly before Python imports what stands for it, and for a reference that was read before (kernel.py).
The output is the same, byte for byte. Where a provider release or jsii has another shape, the ordinary way serves, with a
warning; PLATFORM_PROVIDER_IMPORT=ordinary asks for it, to compare the two.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
import warnings
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from modules.provider.kernel import save_waits

PACKAGE = "cdktf_cdktf_provider_aws"
PRELOAD = Path(__file__).with_name("preload.cjs")


def load_lazily() -> bool:
    """Installs both lazinesses; call it before anything imports cdktf or the bindings.

    Returns:
        False where the ordinary import serves instead: the bindings are already loaded, or have another shape (with a warning).
    """
    if PACKAGE in sys.modules:
        return getattr(sys.modules[PACKAGE], "__lazy__", False)
    if os.environ.get("PLATFORM_PROVIDER_IMPORT") == "ordinary":
        importlib.import_module(PACKAGE)
        return False
    spec = importlib.util.find_spec(PACKAGE)
    if (
        spec is None
        or not spec.submodule_search_locations
        or not _has_known_shape(spec.submodule_search_locations[0])
    ):
        warnings.warn(
            f"{PACKAGE} has another shape than expected: importing it whole, which is slow",
            stacklevel=2,
        )
        return False
    _preload_in_node()
    save_waits()
    sys.modules[PACKAGE] = _bare_package(spec)
    return True


def _has_known_shape(location: str) -> bool:
    """A package of packages, one for each resource, that share one jsii assembly."""
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
    """jsii starts Node with this process's environment; a preload of somebody else's stays."""
    # Quoted as Node reads NODE_OPTIONS, which is not how a shell does.
    option = f"--preserve-symlinks --require {json.dumps(str(PRELOAD))}"
    options = os.environ.get("NODE_OPTIONS", "")
    if option not in options:
        os.environ["NODE_OPTIONS"] = f"{options} {option}".strip()
