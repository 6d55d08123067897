"""Tests the wait for a custom domain. A new domain becomes available minutes after the apply."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from ops.cloud import Cloud
from ops.deployment.domain import wait_for_domain
from ops.deployment.health import Health
from ops.errors import OperatorError
from tests.ops.clouds import FakeCloud
from tests.ops.traffic.releases import FakeClock

URL = "https://api.example.com/health"


class CustomDomain:
    """A custom domain of API Gateway.

    Args:
        minutes: Minutes until the domain becomes reachable.
        age: Minutes since the domain was created.
    """

    def __init__(self, cloud: Cloud, minutes: float, age: float = 0.0) -> None:
        self.clock = FakeClock()
        self.created = self.clock() - age * 60
        self.reachable_at = self.clock() + minutes * 60
        self.status = ""
        self.calls_before_available = 0
        self.cloud = FakeCloud(cloud.environment, {}, clients={"apigateway": self})

    def get_domain_name(self, *, domainName: str) -> dict[str, Any]:  # noqa: N803
        assert self.cloud.environment.domains
        assert domainName == self.cloud.environment.domains.api
        created = datetime.fromtimestamp(self.created, UTC)
        return {"domainNameStatus": self.domain_status, "certificateUploadDate": created}

    @property
    def domain_status(self) -> str:
        return self.status or ("AVAILABLE" if self.clock() >= self.reachable_at else "UPDATING")

    def get_health(self, url: str) -> Health:
        assert url == URL
        self.calls_before_available += self.domain_status != "AVAILABLE"
        reachable = self.clock() >= self.reachable_at
        return Health(200, {"status": "ok"}) if reachable else Health(0, "no such host")

    def wait(self) -> Health:
        return wait_for_domain(
            self.cloud, URL, get_health=self.get_health, sleep=self.clock.sleep, clock=self.clock
        )


def test_new_domain_is_called_only_after_api_gateway_reports_it_available(cloud: Cloud) -> None:
    domain = CustomDomain(cloud, minutes=40)
    assert domain.wait().ok
    assert domain.clock() >= domain.created + 40 * 60
    assert domain.calls_before_available == 0


def test_wait_continues_if_an_available_domain_is_not_yet_reachable(cloud: Cloud) -> None:
    domain = CustomDomain(cloud, minutes=40)
    domain.status = "AVAILABLE"
    assert domain.wait().ok


@pytest.mark.parametrize(("age", "limit"), [(0, 46), (24 * 60, 2)])
def test_wait_fails_after_45_minutes_for_a_new_domain_and_sooner_for_an_old_one(
    cloud: Cloud, age: float, limit: float
) -> None:
    domain = CustomDomain(cloud, minutes=1000, age=age)
    domain.status = "AVAILABLE"
    started = domain.clock()
    with pytest.raises(OperatorError, match=r"is not healthy \(0 no such host\)"):
        domain.wait()
    assert (limit - 1.5) * 60 < domain.clock() - started <= limit * 60


def test_wait_fails_if_the_operator_must_verify_the_domain(cloud: Cloud) -> None:
    domain = CustomDomain(cloud, minutes=40)
    domain.status = "PENDING_OWNERSHIP_VERIFICATION"
    with pytest.raises(OperatorError, match="reports PENDING_OWNERSHIP_VERIFICATION for"):
        domain.wait()
