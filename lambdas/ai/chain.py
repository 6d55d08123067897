"""Calls the providers in order, with time limits, retries, circuit breakers and fallback."""

import random
import time
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

from msgspec import Struct

from lambdas.ai.circuits import Circuit, Circuits
from lambdas.ai.providers import (
    REQUEST_FAILURES,
    Completion,
    Failure,
    Prompt,
    Provider,
    ProviderError,
)
from lambdas.common.clock import Clock
from lambdas.common.logs import Logger

T = TypeVar("T")

TIME_FRACTION = 0.6
"""The fraction of the remaining time that a call may use if the chain can still call another
provider. The last provider may use all of the remaining time.

For example, if 23 s remain, the first of two providers gets at most 13.8 s.
"""

MINIMUM_TIME = 1.0
"""Minimum seconds that must remain when the chain calls a provider. No model responds faster."""

MAXIMUM_WAIT = 2.0
"""Maximum Retry-After in seconds that the chain waits.

If a provider sends a longer one, the chain calls the next provider instead.
"""

JITTER = (0.1, 0.5)
"""The range of the random pause before a retry, in seconds. It spreads out concurrent retries."""


class InvalidCompletionError(Exception):
    """The completion does not match the required schema.

    The error message does not contain the completion.
    """


class Result(Struct, Generic[T], frozen=True):
    """A completion, its provider and the value parsed from its text."""

    provider: str
    completion: Completion
    value: T


class NotConfiguredError(Exception):
    """No provider has an API key."""


class NoCompletionError(Exception):
    """No provider returned a usable completion.

    `refused` is True if all called providers refused the content of the prompt.
    """

    def __init__(self, *, refused: bool) -> None:
        super().__init__("refused" if refused else "failed")
        self.refused = refused


class Keys(Protocol):
    """The interface that reads the providers' API keys."""

    def get(self, provider: str) -> str | None:
        """Returns the provider's API key, or None if no key is stored."""

    def discard(self, provider: str) -> None:
        """Discards the cached key."""


class Chain:
    """Calls the first available provider. If the call fails, calls the next provider."""

    def __init__(
        self,
        providers: Sequence[Provider],
        keys: Keys,
        circuits: Circuits,
        logger: Logger,
        *,
        timer: Clock = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._providers = providers
        self._keys = keys
        self._circuits = circuits
        self._logger = logger
        self._timer = timer
        self._sleep = sleep

    def check_configured(self) -> None:
        """Raises NotConfiguredError if no provider has an API key."""
        if not self._configured():
            raise NotConfiguredError

    def complete(self, prompt: Prompt, parse: Callable[[str], T], deadline: float) -> Result[T]:
        """Returns the first valid completion.

        Args:
            prompt: The prompt that all providers receive.
            parse: Converts the completion's text to a value. If it raises InvalidCompletionError,
                the same provider is called once more.
            deadline: The time at which to give up, in seconds of the clock `timer`.

        Raises:
            NotConfiguredError: No provider has an API key.
            NoCompletionError: No provider returned a valid completion in time.
        """
        configured = self._configured()
        if not configured:
            raise NotConfiguredError
        failures = set()
        candidates = list(self._circuits.list_available(list(configured)).items())
        while candidates:
            name, circuit = candidates.pop(0)
            remaining = deadline - self._timer()
            if remaining < MINIMUM_TIME:
                break
            if not self._circuits.try_enter(name, circuit):
                continue
            until = self._timer() + remaining * (TIME_FRACTION if candidates else 1)
            result = self._call(*configured[name], prompt, parse, until)
            if isinstance(result, Result):
                self._circuits.record_success(name, circuit)
                return result
            self._record_failure(name, circuit, result)
            failures.add(result)
        raise NoCompletionError(refused=failures == {Failure.REFUSED})

    def _configured(self) -> dict[str, tuple[Provider, str]]:
        """Returns the providers that have an API key, each with its key, by provider name."""
        keys = ((provider, self._keys.get(provider.name)) for provider in self._providers)
        return {provider.name: (provider, key) for provider, key in keys if key}

    def _record_failure(self, name: str, circuit: Circuit, failure: Failure) -> None:
        if failure is Failure.KEY_REFUSED:
            self._keys.discard(name)
        if failure in REQUEST_FAILURES:
            # The prompt caused the failure. The provider works, so this call closes its circuit.
            self._circuits.record_success(name, circuit)
        else:
            self._circuits.record_failure(name)

    def _call(
        self, provider: Provider, key: str, prompt: Prompt, parse: Callable[[str], T], until: float
    ) -> Result[T] | Failure:
        """Calls a provider. If the completion is invalid, calls the same provider once more.

        Returns Failure.INVALID if the second completion is invalid too.
        """
        started = self._timer()
        outcome = Failure.INVALID
        try:
            for _ in range(2):
                completion = self._try(provider, key, prompt, until)
                try:
                    value = parse(completion.text)
                except InvalidCompletionError:
                    continue
                self._log("completed", provider, started, completion)
                return Result(provider.name, completion, value)
        except ProviderError as error:
            outcome = error.failure
        self._log(outcome.value, provider, started, None)
        return outcome

    def _try(self, provider: Provider, key: str, prompt: Prompt, until: float) -> Completion:
        """Returns a provider's completion. Retries once after some failures (see `_pause`).

        Raises ProviderError.
        """
        try:
            return provider.complete(prompt, key, self._timeout(until))
        except ProviderError as error:
            pause = _pause(error)
            if pause is None or self._timer() + pause + MINIMUM_TIME > until:
                raise
        self._sleep(pause)
        return provider.complete(prompt, key, self._timeout(until))

    def _timeout(self, until: float) -> float:
        timeout = until - self._timer()
        if timeout <= 0:
            raise ProviderError(Failure.TIMEOUT)
        return timeout

    def _log(
        self, outcome: str, provider: Provider, started: float, completion: Completion | None
    ) -> None:
        log = self._logger.info if completion else self._logger.warning
        log(
            "provider called",
            provider=provider.name,
            outcome=outcome,
            duration_ms=round((self._timer() - started) * 1000),
            input_tokens=completion and completion.input_tokens,
            output_tokens=completion and completion.output_tokens,
        )


def _pause(error: ProviderError) -> float | None:
    """Returns the seconds to wait before a retry, or None if the request must not be retried.

    Only failures that cost no tokens are retried. After a timeout, no time is left for a retry.
    """
    jitter = random.uniform(*JITTER)  # noqa: S311 (not a secret)
    if error.failure is Failure.UNREACHABLE:
        return jitter
    wait = error.retry_after
    if wait is None and error.failure is Failure.SERVER_ERROR:
        wait = 0
    retryable = error.failure in {Failure.SERVER_ERROR, Failure.RATE_LIMITED}
    return wait + jitter if retryable and wait is not None and wait <= MAXIMUM_WAIT else None
