"""Charges of Lambda functions and API Gateway."""

from __future__ import annotations

from collections.abc import Iterator

from ops.cost.charges.base import Line, Month, charged
from ops.cost.things import Thing

MB_OF_GB = 1024
DEFAULT_MEMORY = 128
"""MB. Lambda's default for functions without `memory_size`."""


@charged("aws_lambda_function", "invocations", "duration_ms")
def function(thing: Thing, month: Month) -> Iterator[Line]:
    """Yields requests, and duration multiplied by memory."""
    yield Line("lambda.requests", month.used["invocations"])
    seconds = month.used["invocations"] * month.used["duration_ms"] / 1000
    yield Line(f"lambda.duration.{architecture(thing)}", seconds * memory(thing))


@charged("aws_lambda_provisioned_concurrency_config")
def provisioned(thing: Thing, month: Month) -> Iterator[Line]:
    """Yields provisioned concurrency, multiplied by the memory of the function."""
    owner = month.things.named("aws_lambda_function", "function_name", thing.value("function_name"))
    seconds = month.hours * 3600 * thing.value("provisioned_concurrent_executions", 0)
    memory_gb, kind = (
        (memory(owner), architecture(owner)) if owner else (DEFAULT_MEMORY / MB_OF_GB, "x86_64")
    )
    yield Line(f"lambda.provisioned.{kind}", seconds * memory_gb, fixed=True)


def memory(thing: Thing) -> float:
    """Returns the memory of a function, in GB."""
    return float(thing.value("memory_size", DEFAULT_MEMORY)) / MB_OF_GB


def architecture(thing: Thing) -> str:
    return str(thing.value("architectures", "x86_64"))


@charged("aws_api_gateway_rest_api", "requests", "out_gb")
def rest(thing: Thing, month: Month) -> Iterator[Line]:  # noqa: ARG001 - usage only
    """Yields requests and data transfer to the internet."""
    yield Line("rest.requests", month.used["requests"])
    yield Line("transfer.out", month.used["out_gb"])


@charged("aws_api_gateway_stage", "traces")
def stage(thing: Thing, month: Month) -> Iterator[Line]:
    """Yields X-Ray traces if the stage has tracing turned on. Traces of requests begin here."""
    if thing.value("xray_tracing_enabled"):
        yield Line("xray.traces", month.used["traces"])


@charged("aws_apigatewayv2_api", "messages", "connection_minutes", "out_gb")
def websocket(thing: Thing, month: Month) -> Iterator[Line]:  # noqa: ARG001 - usage only
    """Yields messages in both directions, connection minutes and data transfer."""
    yield Line("websocket.messages", month.used["messages"])
    yield Line("websocket.minutes", month.used["connection_minutes"])
    yield Line("transfer.out", month.used["out_gb"])
