"""Fakes of the providers, API keys and circuits of the ai service."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from lambdas.ai.circuits import OPEN_TIME, THRESHOLD, Circuit
from lambdas.ai.providers import Completion, Failure, Prompt, ProviderError
from tests.lambdas.support import FakeClock

Outcome = str | ProviderError | Callable[[float], str]
"""The outcome of one call: the text, an error to raise, or a function that returns the text.

The function's argument is the timeout of the call in seconds.
"""


def failing(failure: Failure, retry_after: float | None = None) -> ProviderError:
    return ProviderError(failure, retry_after)


@dataclass
class ScriptedProvider:
    """A provider that returns `outcomes` in order, and repeats the last outcome.

    Each call advances the clock by `duration` seconds.
    """

    name: str
    clock: FakeClock
    outcomes: list[Outcome] = field(default_factory=lambda: ["fine"])
    duration: float = 0.0
    prompts: list[Prompt] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    timeouts: list[float] = field(default_factory=list)

    def complete(self, prompt: Prompt, key: str, timeout: float) -> Completion:
        self.prompts.append(prompt)
        self.keys.append(key)
        self.timeouts.append(timeout)
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        self.clock.advance(min(self.duration, timeout))
        if isinstance(outcome, ProviderError):
            raise outcome
        text = outcome if isinstance(outcome, str) else outcome(timeout)
        return Completion(text=text, model=f"{self.name}-model", input_tokens=10, output_tokens=5)

    @property
    def calls(self) -> int:
        return len(self.prompts)


class FakeApiKeys:
    """API keys by provider. Records which keys were discarded."""

    def __init__(self, **keys: str) -> None:
        self.keys = keys
        self.discarded: list[str] = []

    def get(self, provider: str) -> str | None:
        return self.keys.get(provider)

    def discard(self, provider: str) -> None:
        self.discarded.append(provider)


class MemoryCircuits:
    """Circuit breakers in memory. Does not support concurrent calls."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.failures: dict[str, int] = {}
        self.until: dict[str, float] = {}

    def list_available(self, providers: Sequence[str]) -> Mapping[str, Circuit]:
        return {
            name: Circuit(self.failures.get(name, 0), int(self.until.get(name, 0) * 1000))
            for name in providers
            if self.until.get(name, 0) <= self._clock()
        }

    def try_enter(self, provider: str, circuit: Circuit) -> bool:
        return True

    def record_success(self, provider: str, circuit: Circuit) -> None:
        self.failures.pop(provider, None)
        self.until.pop(provider, None)

    def record_failure(self, provider: str) -> None:
        self.failures[provider] = self.failures.get(provider, 0) + 1
        if self.failures[provider] >= THRESHOLD:
            self.until[provider] = self._clock() + OPEN_TIME
