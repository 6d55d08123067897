"""What is drawn of a stack and how: drawing.yml."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

FILE = Path(__file__).with_name("drawing.yml")
SELF = "self"
"""In place of an argument: the resource itself."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class NodeKind(_Strict):
    """How a type is drawn."""

    group: str
    kind: str
    """What people call it."""
    label: str | None = None
    plural: str | None = None
    folded: bool = False
    merged: bool = False
    shape: Literal["box", "cylinder"] = "box"
    group_at: Mapping[str, str] = {}
    where: str | None = None


class Through(_Strict):
    """How a resource leads to the one it stands for."""

    to: str
    by: str | None = None
    at: str | None = None


class EdgeKind(_Strict):
    """A resource that connects two others."""

    type: str
    source: Annotated[str, Field(alias="from")]
    to: str
    says: str


class View(_Strict):
    """One picture."""

    title: str
    types: frozenset[str] | None = None
    says: frozenset[str] | None = None
    folded: bool = False
    quiet: frozenset[str] = frozenset()
    connected: bool = False


class Drawing(_Strict):
    """The whole file."""

    groups: Mapping[str, str]
    nodes: Mapping[str, NodeKind]
    through: Mapping[str, Through]
    edges: tuple[EdgeKind, ...]
    silent: frozenset[str]
    grants: Mapping[str, str]
    views: Mapping[str, View]


@functools.cache
def load_drawing() -> Drawing:
    """The project's own."""
    return Drawing.model_validate(yaml.safe_load(FILE.read_text(encoding="utf-8")))
