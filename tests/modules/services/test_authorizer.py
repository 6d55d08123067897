from __future__ import annotations

from pathlib import Path

import pytest

from modules.base.table import Table
from modules.secrets import Parameters
from modules.services.authorizer import Authorizer
from tests.modules.synthesis import Synthesized, function_platform, synthesize

TICKETS = Table(
    "chat-tickets-dev",
    "tickets",
    "arn:aws:dynamodb:us-east-1:111122223333:table/chat-tickets-dev",
    [],
)
JWT_SECRET = "arn:aws:ssm:us-east-1:111122223333:parameter/multitask/dev/jwt-secret"


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Synthesized:
    artifacts: Path = tmp_path_factory.mktemp("artifacts")
    return synthesize(
        lambda stack, env, names: Authorizer(
            stack,
            "authorizer",
            platform=function_platform(env, artifacts),
            parameters=Parameters(names),
            tickets_table=TICKETS,
        )
    )


def test_the_authorizers_variables_contain_names_but_no_secrets(dev: Synthesized) -> None:
    variables = dev.find_only("aws_lambda_function")["environment"]["variables"]
    assert variables["JWT_SECRET_PARAMETER"] == "/multitask/dev/jwt-secret"
    assert variables["DYNAMODB_TABLE_TICKETS"] == "chat-tickets-dev"


def test_the_authorizer_can_only_read_the_signing_key_and_delete_tickets(dev: Synthesized) -> None:
    statements = {item["Sid"]: item for item in dev.policy("aws_iam_role_policy")}
    assert {
        sid: item["Action"] for sid, item in statements.items() if sid not in {"Logs", "Traces"}
    } == {"Parameters": "ssm:GetParameter", "RedeemTickets": "dynamodb:DeleteItem"}
    # To read an earlier version of the parameter (`name:version`), the role needs the second ARN.
    assert statements["Parameters"]["Resource"] == [JWT_SECRET, f"{JWT_SECRET}:*"]
    assert statements["RedeemTickets"]["Resource"] == TICKETS.arn


def test_the_authorizer_runs_outside_the_vpc(dev: Synthesized) -> None:
    assert "vpc_config" not in dev.find_only("aws_lambda_function")
