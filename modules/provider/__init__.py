"""Loads the AWS provider's CDKTF bindings lazily, in Python and in Node, which jsii runs.

The bindings are 2,137 generated Python modules and as many JavaScript ones. A stack uses about 80,
but a normal import loads all. After `load_lazily`, importing
`cdktf_cdktf_provider_aws.<resource>` loads only that resource: in Python, an empty parent package
replaces the package's `__init__`; in Node, preload.cjs turns the requires of the index file into
getters. `load_lazily` also removes three delays of jsii: the second Node process that relays every
message (runtime.cjs), the wait while Node loads an assembly, and the wait for a reference that was
already read (both in kernel.py).

The synthesized Terraform is the same. If the provider or jsii has an unexpected structure, the
normal import is used, with a warning. PLATFORM_PROVIDER_IMPORT=ordinary forces the normal import.
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

from modules.provider.kernel import reduce_waits

PACKAGE = "cdktf_cdktf_provider_aws"
PRELOAD = Path(__file__).with_name("preload.cjs")


def load_lazily() -> bool:
    """Enables lazy loading. Call it before anything imports cdktf or the bindings.

    Returns:
        False if the bindings are already loaded or (with a warning) have an unexpected structure.
        The normal import is then used.
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
            f"{PACKAGE} has an unexpected structure: importing all of it, which is slow",
            stacklevel=2,
        )
        return False
    _preload_in_node()
    reduce_waits()
    sys.modules[PACKAGE] = _bare_package(spec)
    return True


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
    """Adds the preload to NODE_OPTIONS, which jsii's Node inherits. Keeps existing options."""
    # JSON quoting matches how Node parses NODE_OPTIONS, which has no escapes for other letters.
    path = json.dumps(str(PRELOAD), ensure_ascii=False)
    option = f"--preserve-symlinks --require {path}"
    options = os.environ.get("NODE_OPTIONS", "")
    if option not in options:
        os.environ["NODE_OPTIONS"] = f"{options} {option}".strip()
