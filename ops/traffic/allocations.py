"""Manages the provisioned concurrency of `live` aliases while their traffic is shifted.

After an update of an alias with provisioned concurrency, Lambda keeps sending all traffic to the
previous version until it has allocated the concurrency for the new one. "Lambda starts allocating
provisioned concurrency after a minute or two of preparation" (Lambda developer guide, "Configuring
provisioned concurrency for a function").
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from botocore.exceptions import ClientError

from environments import Environment
from ops.console import Progress, report
from ops.errors import OperatorError
from ops.functions.versions import Functions, Live

TIMEOUT = 900.0
"""Seconds to wait for an allocation: the timeout of aws_lambda_provisioned_concurrency_config."""
INTERVAL = 5.0
"""Seconds between two checks."""


class AllocationError(OperatorError):
    """Raised if Lambda cannot allocate provisioned concurrency and therefore shifts no traffic."""

    def __init__(self, services: set[str], message: str) -> None:
        super().__init__(message)
        self.services = services


class Allocations:
    """Provisioned concurrency of an environment's functions.

    Args:
        check_lock: Called after each pause of `wait`. Raises an error if another command took over
            the lock.
        sleep, clock: `time.sleep` and `time.time`, or fakes.
    """

    def __init__(
        self,
        functions: Functions,
        environment: Environment,
        check_lock: Callable[[], None],
        *,
        sleep: Callable[[float], None],
        clock: Callable[[], float],
    ) -> None:
        self._functions, self._environment = functions, environment
        self._check_lock, self._sleep, self._clock = check_lock, sleep, clock

    def wait(self, services: Iterable[str]) -> None:
        """Waits until each service's live version has its provisioned concurrency and all traffic.

        Raises:
            AllocationError: An allocation failed, or took longer than TIMEOUT.
        """
        pending = [service for service in services if self._is_pending(service)]
        deadline = self._clock() + TIMEOUT
        with Progress() as progress:
            while pending:
                names = ", ".join(pending)
                if self._clock() >= deadline:
                    raise AllocationError(
                        set(pending),
                        f"The provisioned concurrency of {names} is not ready after"
                        f" {TIMEOUT / 60:.0f} minutes",
                    )
                progress.show(f"waiting for the provisioned concurrency of {names}")
                self._sleep(INTERVAL)
                self._check_lock()
                pending = [service for service in pending if self._is_pending(service)]

    def _is_pending(self, service: str) -> bool:
        live = self._functions.live(service)
        if not (live.awaits_allocation or self._configured(service)):
            return False
        allocation = self._functions.allocation(service)
        if allocation and allocation.status == "FAILED":
            raise AllocationError(
                {service},
                f"Lambda cannot allocate the provisioned concurrency of {service} for version"
                f" {live.version}: {allocation.reason}",
            )
        return live.awaits_allocation or bool(allocation and allocation.status != "READY")

    @contextmanager
    def without_allocation(self, live: Live) -> Iterator[None]:
        """Removes a service's provisioned concurrency. Requests it again after the `with` block.

        Without provisioned concurrency, Lambda shifts traffic immediately.
        """
        service = live.service
        has_any = live.awaits_allocation or self._configured(service)
        allocation = self._functions.allocation(service) if has_any else None
        if allocation is None:
            yield
            return
        self._functions.deallocate(service)
        try:
            yield
        finally:
            self._restore(service, allocation.requested)

    def restore(self, service: str) -> None:
        """Requests a service's provisioned concurrency if an interrupted rollback removed it."""
        count = self._configured(service)
        if count and self._functions.allocation(service) is None:
            self._restore(service, count)

    def _restore(self, service: str, count: int) -> None:
        try:
            self._functions.allocate(service, count)
        except ClientError as error:
            report(
                f"The provisioned concurrency of {service} was removed and cannot be requested"
                f" again ({error}): run `ops deploy {self._environment.name}`"
            )
        else:
            report(f"Requested provisioned concurrency of {count} for {service} again")

    def _configured(self, service: str) -> int:
        """Returns the provisioned concurrency that the environment sets for a service."""
        return self._environment.provisioned_concurrency(service)  # type: ignore[arg-type]
