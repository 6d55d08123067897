"""Defines the charges of Lambda functions and API Gateway."""

from __future__ import annotations

from collections.abc import Iterator

from ops.cost.charges.base import Line, Month, charge_usage, charged
from ops.cost.resources import BillableResource

MB_OF_GB = 1024
DEFAULT_MEMORY = 128
"""MB. Lambda's default for functions without `memory_size`."""


@charged("aws_lambda_function", "invocations", "duration_ms")
def function(resource: BillableResource, month: Month) -> Iterator[Line]:
    """Yields the charges for requests and GB-seconds."""
    yield Line("lambda.requests", month.used["invocations"])
    seconds = month.used["invocations"] * month.used["duration_ms"] / 1000
    yield Line(f"lambda.duration.{architecture(resource)}", seconds * memory(resource))


@charged("aws_lambda_provisioned_concurrency_config")
def provisioned(resource: BillableResource, month: Month) -> Iterator[Line]:
    """Yields the charge for provisioned concurrency, in GB-seconds.

    GB-seconds are the number of provisioned executions x memory in GB x seconds of the month.
    """
    owner = month.resources.named(
        "aws_lambda_function", "function_name", resource.value("function_name")
    )
    seconds = month.hours * 3600 * resource.value("provisioned_concurrent_executions", 0)
    memory_gb, kind = (
        (memory(owner), architecture(owner)) if owner else (DEFAULT_MEMORY / MB_OF_GB, "x86_64")
    )
    yield Line(f"lambda.provisioned.{kind}", seconds * memory_gb, fixed=True)


def memory(resource: BillableResource) -> float:
    """Returns the memory of a function, in GB."""
    return float(resource.value("memory_size", DEFAULT_MEMORY)) / MB_OF_GB


def architecture(resource: BillableResource) -> str:
    return str(resource.value("architectures", "x86_64"))


@charged("aws_api_gateway_stage", "traces")
def stage(resource: BillableResource, month: Month) -> Iterator[Line]:
    """Yields the charge for X-Ray traces if tracing is enabled for the stage.

    The services that the stage calls add to the same traces, at no additional charge.
    """
    if resource.value("xray_tracing_enabled"):
        yield Line("xray.traces", month.used["traces"])


charge_usage("aws_api_gateway_rest_api", requests="rest.requests", out_gb="transfer.out")
charge_usage(
    "aws_apigatewayv2_api",
    messages="websocket.messages",  # AWS charges for received and sent messages
    connection_minutes="websocket.minutes",
    out_gb="transfer.out",
)
