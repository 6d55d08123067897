"""What each type of resource is charged for: one module for each part of the cloud."""

from ops.cost.charges import compute, data, edge, messaging, monitoring, network  # noqa: F401 - they register themselves
from ops.cost.charges.base import CHARGES, Charge, Line, UnpricedError

__all__ = ["CHARGES", "Charge", "Line", "UnpricedError"]
