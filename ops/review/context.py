"""Contains facts about other resources of a plan that the checks of a change need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ops.terraform.plan_values import UNKNOWN

NAME_ATTRIBUTES = {"aws_s3_bucket": "bucket", "aws_lambda_function": "function_name"}
"""The attribute that contains the name of a bucket or function, by resource type.

Other resources refer to the bucket or function by this name, in an attribute that is also called
`bucket` or `function_name`. References to resources of other types contain an id, which is unknown
until the apply creates the resource.
"""


@dataclass(frozen=True)
class Context:
    """Facts about other resources of a plan that the checks of a change need."""

    policies: Mapping[str, Any] = field(default_factory=dict)
    """The documents of the customer-managed policies in the plan, by ARN."""
    created: frozenset[tuple[str, str]] = frozenset()
    """The buckets and functions that the plan creates. Each item is an attribute in NAME_ATTRIBUTES
    and its value, for example `("bucket", "logs")`."""

    def is_new(self, attribute: str, value: Any) -> bool:
        """Returns True if the plan creates the resource to which an attribute refers."""
        return value is UNKNOWN or (attribute, value) in self.created
