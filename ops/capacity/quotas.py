"""Loads quotas.yml, the quotas that AWS documents."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, model_validator

from ops.capacity.document import StrictModel, read_yaml, validate_document
from ops.errors import OperatorError

FILE = Path(__file__).with_name("quotas.yml")


class Quota(StrictModel):
    """A quota or a documented property of a service."""

    name: str
    value: float = Field(gt=0)
    unit: str
    adjustable: bool
    source: str
    """The key of the source in `sources` of quotas.yml."""
    code: str | None = None
    """The quota's code in Service Quotas."""
    verified: bool = True
    """False if the value was not found in AWS's documentation."""
    is_granted: bool = False
    """True if the value comes from the environment file."""


class CacheNodes(StrictModel):
    """A property of cache nodes, by type."""

    source: str
    verified: bool
    nodes: Mapping[str, float]


class Quotas(StrictModel):
    """The contents of quotas.yml."""

    region: str
    read: datetime.date
    """The day on which the sources were read."""
    sources: Mapping[str, str]
    quotas: Mapping[str, Quota]
    cache_memory_gb: CacheNodes
    cache_commands: CacheNodes
    """Commands per second, by node type. Contains only the types for which AWS documents a number.

    The usage model contains one number for all other types.
    """

    @model_validator(mode="after")
    def _check_sources(self) -> Quotas:
        for name, quota in self.quotas.items():
            if quota.source not in self.sources:
                raise ValueError(
                    f"quota {name} has the unknown source {quota.source}: add it to `sources`"
                )
        return self

    def value(self, name: str) -> float:
        return self.quotas[name].value

    def with_granted(self, granted: Mapping[str, float]) -> Quotas:
        """Returns these quotas with the values that AWS has granted to an account.

        Raises:
            OperatorError: A quota does not exist, or AWS does not raise it.
        """
        quotas = dict(self.quotas)
        for name, value in granted.items():
            quota = quotas.get(name)
            if quota is None or not quota.adjustable:
                known = [known for known, each in self.quotas.items() if each.adjustable]
                reason = "no such quota" if quota is None else "AWS does not raise this quota"
                raise OperatorError(
                    f"quotas.{name}: {reason}: use one of {', '.join(known)}"
                    " (ops/capacity/quotas.yml)"
                )
            quotas[name] = quota.model_copy(update={"value": value, "is_granted": True})
        return self.model_copy(update={"quotas": quotas})


@functools.cache
def load_quotas(file: Path = FILE) -> Quotas:
    return validate_document(Quotas, read_yaml(file), file)
