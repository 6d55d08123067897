"""Converts the traffic of a day to the usage of a month, for which `ops.cost` computes a bill."""

from __future__ import annotations

from ops.capacity.data_limits import by_table
from ops.capacity.forecast import Forecast
from ops.capacity.load import Load
from ops.capacity.model import DAY, Model
from ops.capacity.traffic import DELIVER
from ops.cost.usage import HOURS, PER_REQUEST, Quantities, Usage, load_usage

SECONDS = HOURS * 3600
"""Seconds per month."""
GB = 1024 * 1024
"""Kilobytes in a gigabyte."""
DATABASE_IDLE_UNITS = 0.5
"""Capacity units that Aurora uses while it executes no statements."""


def month_usage(forecast: Forecast, users: float) -> Usage:
    """Returns the usage of a month with `users` daily active users.

    Quantities that the model does not contain come from the sample usage of `ops cost`, in
    proportion to the requests.
    """
    model = forecast.model
    peak = forecast.point(users).peak
    base = load_usage("idle")
    requests = _month(peak.traffic.rest, model)
    computed = {
        **_functions(peak, forecast),
        **_tables(peak, model),
        "security/user-pool-firewall": {
            "requests": _month(_sign_ins(peak), model),
            f"requests{PER_REQUEST}": 0,
        },
        # Each frame causes three requests to the queue: it is sent, received and deleted.
        "delivery/frames/queue": {
            "requests": _month(
                peak.calls.get("sqs.SendMessage", 0.0) + 2 * peak.traffic.rates[DELIVER], model
            )
        },
    }
    resources = {
        path: _replaced(base.resources.get(path, {}), computed.get(path, {}))
        for path in {*base.resources, *computed}
    }
    return Usage(
        name=f"a month with {users:,.0f} daily users",
        requests=requests,
        types={**base.types, **_types(forecast, users, peak)},
        resources=resources,
    )


def _replaced(assumed: Quantities, computed: Quantities) -> Quantities:
    """Returns a resource's quantities. Computed quantities replace the assumed ones."""
    kept = {
        name: value
        for name, value in assumed.items()
        if name.removesuffix(PER_REQUEST) not in computed
    }
    return {**kept, **computed}


def _month(peak_rate: float, model: Model) -> float:
    """Converts a rate per second at the peak of a day to a number per month."""
    return peak_rate / model.population.peak_to_mean.value * SECONDS


def _sign_ins(peak: Load) -> float:
    """Returns the requests per second to the auth service.

    Each of these requests may call the Cognito user pool.
    """
    return sum(rate for name, rate in peak.traffic.rates.items() if "/v1/auth/" in name)


def _functions(peak: Load, forecast: Forecast) -> dict[str, dict[str, float]]:
    result = {}
    for name, rate in peak.invocations.items():
        seconds = peak.concurrency[name] / rate if rate else 0.0
        result[f"{name}/function/function"] = {
            "invocations": _month(rate, forecast.model),
            "duration_ms": seconds * 1000,
        }
        logged = _month(rate, forecast.model) * forecast.model.sizes.log_kb_per_request.value / GB
        result[f"{name}/function/logs"] = {"ingested_gb": logged}
    return result


def _tables(peak: Load, model: Model) -> dict[str, dict[str, float]]:
    reads, writes = by_table(peak.units, "reads"), by_table(peak.units, "writes")
    return {
        f"database/{name}/table": {
            "reads": _month(reads.get(name, 0.0), model),
            "writes": _month(writes.get(name, 0.0), model),
        }
        for name in {*reads, *writes}
    }


def _types(forecast: Forecast, users: float, peak: Load) -> dict[str, dict[str, float]]:
    model, sizes = forecast.model, forecast.model.sizes
    people = model.population
    requests = _month(peak.traffic.rest, model)
    minutes = users * people.sessions.value * people.session_minutes.value * SECONDS / DAY
    statements = peak.statements / people.peak_to_mean.value
    cores = statements * model.database.statement_cpu_ms.value / 1000
    uploads = _month(peak.calls.get("s3.CopyObject", 0.0), model)
    events = _month(peak.calls.get("events.PutEvents", 0.0), model)
    base = load_usage("idle").types
    return {
        "aws_api_gateway_rest_api": {
            "requests": requests,
            "out_gb": requests * sizes.response_kb.value / GB,
        },
        "aws_apigatewayv2_api": {
            "messages": _month(peak.traffic.frames + peak.posts, model),
            "connection_minutes": minutes,
            "out_gb": _month(peak.posts, model) * 0.5 / GB,
        },
        "aws_rds_cluster": {**base["aws_rds_cluster"], "io": _month(peak.statements, model)},
        "aws_rds_cluster_instance": {
            "acu": DATABASE_IDLE_UNITS + cores / model.database.cores_per_capacity_unit.value
        },
        "aws_cloudwatch_event_bus": {"events": events},
        "aws_cognito_user_pool": {
            "active_users": users * people.monthly_users_per_daily_user.value
        },
        "aws_s3_bucket": {
            "storage_gb": uploads * sizes.upload_kb.value / GB,
            "writes": 2 * uploads,
            "reads": requests * sizes.media_requests_per_request.value / 10,
        },
    }
