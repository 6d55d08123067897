"""An environment with fake AWS clients, in which tests release and roll back."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ops.cloud import Cloud
from ops.smoke import Suite, load_suites
from ops.smoke.person import People
from ops.traffic.ledger import Record
from ops.traffic.release import Releaser, Settings, release_service, roll_back_service
from tests.ops.clouds import FakeCloud, store_state
from tests.ops.traffic.releases import (
    FakeClock,
    FakeCloudWatch,
    FakeLambda,
    FakeTopic,
    make_ledger,
    zip_of,
)

FUNCTIONS = {name: f"{name}-lambda-dev" for name in ("auth", "health", "migration")}
OUTPUTS = {
    "functions": FUNCTIONS,
    "log_groups": {name: f"/aws/lambda/{function}" for name, function in FUNCTIONS.items()},
    "cognito_user_pool_id": "pool",
    "alerts_topic_arn": "arn:topic",
}
AUTH, HEALTH = FUNCTIONS["auth"], FUNCTIONS["health"]
BAKE = Settings(weight=10, bake=60, interval=10)


@contextmanager
def sign_in(*_: object) -> Iterator[People]:
    yield People("t.e30.s", "t.e30.s", {})


class World:
    """An environment with two services. The checkout has new code for the health function.

    Args:
        provisioned: The provisioned concurrency of auth. 0 means none.
    """

    def __init__(self, cloud: Cloud, directory: Path, provisioned: int = 0) -> None:
        store_state(cloud, OUTPUTS)
        self.ledger, self.clock, self.directory = make_ledger(cloud), FakeClock(), directory
        self.lambda_ = FakeLambda(
            {name: {"1": b"one"} for name in FUNCTIONS.values()},
            self.clock,
            {AUTH: provisioned} if provisioned else {},
        )
        self.watch, self.topic = FakeCloudWatch(), FakeTopic()
        clients = {
            "lambda": self.lambda_,
            "cloudwatch": self.watch,
            "logs": self.watch,
            "sns": self.topic,
        }
        lambdas = cloud.environment.lambdas.model_copy(
            update={"provisioned_concurrency": provisioned}
        )
        environment = cloud.environment.model_copy(update={"lambdas": lambdas})
        self.cloud = FakeCloud(environment, {}, clients=clients)
        self.checkout = {"auth": b"one", "health": b"two", "migration": b"one"}
        self.suites: Mapping[str, Suite] = load_suites()
        self.releaser = functools.partial(
            Releaser,
            package=self.package,
            sign_in=sign_in,
            suites=lambda: self.suites,
            sleep=self.clock.sleep,
            clock=self.clock,
        )

    def package(self, _cloud: Cloud, services: Sequence[str]) -> dict[str, Path]:
        return {name: zip_of(self.directory, self.checkout[name]) for name in services}

    def release(self, service: str = "health", settings: Settings = BAKE) -> list[dict[str, Any]]:
        return release_service(self.cloud, service, settings, self.releaser)

    def roll_back(self, service: str, to: str | None = None, **options: bool) -> Any:
        return roll_back_service(self.cloud, service, to, self.releaser, **options)

    @property
    def auth_outcomes(self) -> list[str]:
        """Outcomes of the records of auth, newest first."""
        return [record.outcome for record in self.ledger.history("auth")]

    @property
    def record(self) -> Record:
        return self.ledger.history("health")[0]
