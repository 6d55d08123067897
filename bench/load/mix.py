"""Takes the mix of requests and frames from the usage model."""

from __future__ import annotations

from ops.capacity.model import Model

SESSION = "a session"
"""Name of the arrivals in which a user requests a ticket, connects and joins rooms."""
EMPTY_FUNCTION = "an empty function"
BASELINE_SHARE = 0.1
"""Calls of the empty function, divided by all other arrivals."""
LEFT_OUT = "POST /v1/ai/"
"""The start of the names of requests that the load omits, because they call a language model."""


def mix(model: Model) -> dict[str, float]:
    """Returns the relative frequency of each request.

    Includes calls of the empty function.
    """
    weights = {
        name: number.value
        for name, number in model.requests.items()
        if not name.startswith(LEFT_OUT)
    }
    weights |= {f"frame {name}": number.value for name, number in model.frames.items()}
    weights[SESSION] = model.population.sessions.value
    return {**weights, EMPTY_FUNCTION: BASELINE_SHARE * sum(weights.values())}


def left_out(model: Model) -> list[str]:
    """Returns the requests of the model that the load omits."""
    return [name for name in model.requests if name.startswith(LEFT_OUT)]
