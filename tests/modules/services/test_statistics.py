"""Tests the statistics function, which consumes the work queue."""

from __future__ import annotations

import pytest

from modules.messaging import Messaging
from modules.services.statistics import Statistics
from tests.modules.service_stacks import function_name, synthesize_services
from tests.modules.synthesis import Synthesized, environment


def _synthesized(name: str, artifacts: pytest.TempPathFactory) -> Synthesized:
    env = environment(name)
    return synthesize_services(
        env,
        artifacts.mktemp(name),
        add_constructs=lambda stack, platform: Statistics(
            stack,
            "statistics",
            platform=platform,
            work_queue=Messaging(
                stack,
                "messaging",
                names=platform.names,
                kms_key_arn="arn:aws:kms:key",
            ).work_queue,
            profiles=platform.tables["profile-profiles"],
            counted_events=platform.tables["profile-counted-events"],
        ),
    )


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Synthesized:
    return _synthesized("dev", tmp_path_factory)


def test_the_statistics_function_consumes_the_work_queue_and_reports_failed_messages(
    dev: Synthesized,
) -> None:
    sources = dev.all("aws_lambda_event_source_mapping")
    [source] = [item for item in sources if "messaging_work_queue" in item["event_source_arn"]]
    assert source["function_response_types"] == ["ReportBatchItemFailures"]
    assert function_name(dev, source["function_name"]) == "statistics-lambda-dev"


def test_the_statistics_function_can_write_statistics_but_not_read_them(dev: Synthesized) -> None:
    statements = dev.role_statements("statistics-policy-dev")
    assert set(statements) == {
        "Profiles",
        "CountedEvents",
        "QueueSource",
        "QueueKey",
        "Logs",
        "Traces",
    }
    assert statements["Profiles"]["Action"] == "dynamodb:UpdateItem"
    assert statements["Profiles"]["Resource"].endswith(":table/profile-profiles-dev")
    assert statements["CountedEvents"]["Action"] == "dynamodb:PutItem"
    assert statements["CountedEvents"]["Resource"].endswith(":table/profile-counted-events-dev")
    assert statements["QueueKey"]["Action"] == "kms:Decrypt"


@pytest.mark.parametrize("name", ["dev", "prod"])
def test_the_statistics_function_keeps_event_ids_longer_than_events_can_be_replayed(
    name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    result = _synthesized(name, tmp_path_factory)
    variables = result.variables(f"statistics-lambda-{name}")
    archive = result.find_only("aws_cloudwatch_event_archive")["retention_days"]
    dead_letters = (
        result.find_only("aws_sqs_queue", name=f"profile-events-dlq-{name}")[
            "message_retention_seconds"
        ]
        / 86_400
    )
    queue_days = 4  # days for which a message can wait in an SQS queue (default retention)
    assert int(variables["REMEMBER_DAYS"]) >= archive + queue_days + dead_letters + queue_days


def test_the_statistics_function_has_no_reserved_concurrency(dev: Synthesized) -> None:
    assert "reserved_concurrent_executions" not in dev.find_only(
        "aws_lambda_function", function_name="statistics-lambda-dev"
    )
