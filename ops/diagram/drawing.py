"""Loads drawing.yml, which selects the resources that a diagram shows and how it shows them."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

FILE = Path(__file__).with_name("drawing.yml")
SELF = "self"
"""The word in drawing.yml that means the resource itself, instead of one of its arguments."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class GroupKind(_Strict):
    """A kind of group in the diagram, such as the data layer."""

    title: str
    column: int


class NodeKind(_Strict):
    """How resources of a type are drawn."""

    group: str
    kind: str
    """The name of the AWS service or resource type that boxes show above the label."""
    label: str | None = None
    plural: str | None = None
    folded: bool = False
    merged: bool = False
    shape: Literal["box", "cylinder"] = "box"
    group_at: Mapping[str, str] = {}
    where: str | None = None


class RepresentativeRule(_Strict):
    """A rule that finds the drawn resource that represents a resource without a box."""

    to: str
    by: str | None = None
    at: str | None = None


class EdgeKind(_Strict):
    """A resource type that is drawn as an edge: its resources connect two other resources."""

    type: str
    source: Annotated[str, Field(alias="from")]
    to: str
    label: str


class View(_Strict):
    """One diagram."""

    title: str
    types: frozenset[str] | None = None
    labels: frozenset[str] | None = None
    folded: bool = False
    quiet: frozenset[str] = frozenset()
    connected: bool = False


class Drawing(_Strict):
    """The contents of drawing.yml. Comments in that file describe the fields."""

    groups: Mapping[str, GroupKind]
    nodes: Mapping[str, NodeKind]
    through: Mapping[str, RepresentativeRule]
    edges: tuple[EdgeKind, ...]
    ignored_arguments: frozenset[str]
    grants: Mapping[str, str | Mapping[str, str]]
    views: Mapping[str, View]


@functools.cache
def load_drawing() -> Drawing:
    """Returns the contents of the project's drawing.yml."""
    return Drawing.model_validate(yaml.safe_load(FILE.read_text(encoding="utf-8")))
