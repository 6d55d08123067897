"""Loads AWS's documented quotas, quotas.yml."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, model_validator

from ops.capacity.document import Strict, read_yaml, validated

FILE = Path(__file__).with_name("quotas.yml")


class Quota(Strict):
    """A quota or a documented property of a service."""

    name: str
    value: float = Field(gt=0)
    unit: str
    adjustable: bool
    source: str
    """The name of a source in the table's `sources`."""
    code: str | None = None
    """The quota's code in Service Quotas."""
    verified: bool = True
    """False if the value was not found in AWS's documentation."""


class CacheNodes(Strict):
    """Memory of cache nodes by type, in GB."""

    source: str
    verified: bool
    nodes: Mapping[str, float]


class Quotas(Strict):
    """The contents of quotas.yml."""

    region: str
    read: datetime.date
    """The day on which the sources were read."""
    sources: Mapping[str, str]
    quotas: Mapping[str, Quota]
    cache_memory_gb: CacheNodes

    @model_validator(mode="after")
    def _check_sources(self) -> Quotas:
        for name, quota in self.quotas.items():
            if quota.source not in self.sources:
                raise ValueError(f"quota {name} has the unknown source {quota.source}")
        return self

    def value(self, name: str) -> float:
        return self.quotas[name].value


@functools.cache
def load_quotas(file: Path = FILE) -> Quotas:
    return validated(Quotas, read_yaml(file), file)
