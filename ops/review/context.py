"""The other resources of a plan, which some checks need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Context:
    """Facts about other resources of a plan that the checks of a change need."""

    policies: Mapping[str, Any] = field(default_factory=dict)
    """The documents of the customer-managed policies in the plan, by ARN."""
    new_buckets: frozenset[str] = frozenset()
    """The names of the buckets that the plan creates, which contain no objects yet."""
