"""Defines the charges of each resource type, one module for each group of AWS services."""

# Importing these modules registers their charges.
from ops.cost.charges import compute, data, edge, messaging, monitoring, network  # noqa: F401
from ops.cost.charges.base import CHARGES, Charge, Line, UnpricedError

__all__ = ["CHARGES", "Charge", "Line", "UnpricedError"]
