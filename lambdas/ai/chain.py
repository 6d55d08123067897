"""The providers one after another: time for each, what is tried again, whose circuit is open, who answers instead."""

import random
import time
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

from msgspec import Struct

from lambdas.ai.circuits import Circuit, Circuits
from lambdas.ai.providers import BLAMELESS, Completion, Failure, Prompt, Provider, ProviderError
from lambdas.common.clock import Clock
from lambdas.common.logs import Logger

T = TypeVar("T")

FIRST_SHARE = 0.6
"""Of the time that is left, while another provider could answer: of 23 s 13.8 and 9.2."""

SHORTEST_TRY = 1.0
"""Seconds below which no try is begun: no model answers in less."""

LONGEST_WAIT = 2.0
"""Seconds of a Retry-After that are waited; the next provider answers sooner than a longer one is over."""

PAUSE = (0.1, 0.5)
"""Seconds before a try is repeated, chosen at random, so that calls which failed together do not come back together."""


class InvalidCompletionError(Exception):
    """The text is not of the shape that was asked for; the message holds none of it."""


class Answer(Struct, Generic[T], frozen=True):
    """Who answered, what it took, and what was read from its text."""

    provider: str
    completion: Completion
    value: T


class NotConfiguredError(Exception):
    """No provider has a key."""


class NoCompletionError(Exception):
    """Every provider that was asked failed, or none could be. `refused`: all of them for the text's content."""

    def __init__(self, *, refused: bool) -> None:
        super().__init__("refused" if refused else "failed")
        self.refused = refused


class Keys(Protocol):
    """The providers' keys."""

    def get(self, provider: str) -> str | None:
        """The provider's key, None where it has none."""

    def forget(self, provider: str) -> None:
        """Makes the next `get` look it up anew."""


class Chain:
    """Asks the first provider that can answer. Stateless: what outlives a call is in the circuits."""

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
        """Raises NotConfiguredError where no provider has a key."""
        if not self._configured():
            raise NotConfiguredError

    def answer(self, prompt: Prompt, parse: Callable[[str], T], deadline: float) -> Answer[T]:
        """The first good answer before `deadline`, a time of the timer.

        `parse` makes the value of the answer's text and raises InvalidCompletionError where it cannot; the provider is then asked once
        more.

        Raises:
            NotConfiguredError, NoCompletionError
        """
        configured = self._configured()
        if not configured:
            raise NotConfiguredError
        failures = []
        waiting = list(self._circuits.list_available(list(configured)).items())
        while waiting:
            name, circuit = waiting.pop(0)
            left = deadline - self._timer()
            if left < SHORTEST_TRY:
                break
            if not self._circuits.try_enter(name, circuit):
                continue
            until = self._timer() + (left * FIRST_SHARE if waiting else left)
            answer = self._ask(*configured[name], prompt, parse, until)
            if isinstance(answer, Answer):
                self._circuits.record_success(name, circuit)
                return answer
            self._failed(name, circuit, answer)
            failures.append(answer)
        raise NoCompletionError(
            refused=bool(failures) and all(failure is Failure.REFUSED for failure in failures)
        )

    def _configured(self) -> dict[str, tuple[Provider, str]]:
        """The providers that have a key, with it, by name and in their order."""
        found = ((provider, self._keys.get(provider.name)) for provider in self._providers)
        return {provider.name: (provider, key) for provider, key in found if key}

    def _failed(self, name: str, circuit: Circuit, failure: Failure) -> None:
        if failure is Failure.KEY_REFUSED:
            self._keys.forget(name)
        if failure in BLAMELESS:
            # It did answer: a circuit that was tried for that is closed.
            self._circuits.record_success(name, circuit)
        else:
            self._circuits.record_failure(name)

    def _ask(
        self, provider: Provider, key: str, prompt: Prompt, parse: Callable[[str], T], until: float
    ) -> Answer[T] | Failure:
        """What comes of one provider, twice asked where its first answer is not of the right shape. Logged without any text."""
        started = self._timer()
        outcome = Failure.INVALID
        try:
            for _ in range(2):
                completion = self._try(provider, key, prompt, until)
                try:
                    value = parse(completion.text)
                except InvalidCompletionError:
                    continue
                self._report("answered", provider, started, completion)
                return Answer(provider.name, completion, value)
        except ProviderError as error:
            outcome = error.failure
        self._report(outcome.value, provider, started, None)
        return outcome

    def _try(self, provider: Provider, key: str, prompt: Prompt, until: float) -> Completion:
        """One completion, with one repeat where that is safe and there is time. Raises ProviderError."""
        try:
            return provider.complete(prompt, key, self._left(until))
        except ProviderError as error:
            pause = _pause(error)
            if pause is None or self._timer() + pause + SHORTEST_TRY > until:
                raise
        self._sleep(pause)
        return provider.complete(prompt, key, self._left(until))

    def _left(self, until: float) -> float:
        left = until - self._timer()
        if left <= 0:
            raise ProviderError(Failure.TIMEOUT)
        return left

    def _report(
        self, outcome: str, provider: Provider, started: float, completion: Completion | None
    ) -> None:
        write = self._logger.info if completion else self._logger.warning
        write(
            "provider called",
            provider=provider.name,
            outcome=outcome,
            duration_ms=round((self._timer() - started) * 1000),
            input_tokens=completion and completion.input_tokens,
            output_tokens=completion and completion.output_tokens,
        )


def _pause(error: ProviderError) -> float | None:
    """Seconds to wait before the request is sent again, None where it must not be.

    After no connection nothing has been sent. A server that failed or refused for its load did no work that counts, and a completion
    changes nothing there. A time-out is not repeated: what was slow once has used up its time.
    """
    jitter = random.uniform(*PAUSE)  # noqa: S311 - it spreads load
    if error.failure is Failure.UNREACHABLE:
        return jitter
    if error.failure is Failure.SERVER_ERROR and (error.retry_after or 0) <= LONGEST_WAIT:
        return (error.retry_after or 0) + jitter
    if (
        error.failure is Failure.RATE_LIMITED
        and error.retry_after is not None
        and error.retry_after <= LONGEST_WAIT
    ):
        return error.retry_after + jitter
    return None
