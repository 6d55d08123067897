"""Tests the chain of providers: order, time limits, retries, circuits and fallback."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from aws_lambda_powertools.logging import Logger

from lambdas.ai.chain import Chain, InvalidCompletionError, NoCompletionError, NotConfiguredError
from lambdas.ai.providers import Failure, Prompt, ProviderError, Turn
from tests.lambdas.ai.fakes import FakeKeys, MemoryCircuits, Outcome, ScriptedProvider, failing
from tests.lambdas.support import FakeClock

PROMPT = Prompt(
    instruction="Be brief.", turns=(Turn("user", "tell-tale question"),), output_limit=100
)
TIME_LIMIT = 23.0


class Setup:
    """A chain of two scripted providers."""

    def __init__(self, clock: FakeClock, logger: Logger) -> None:
        self.clock = clock
        self.gemini = ScriptedProvider("gemini", clock)
        self.openai = ScriptedProvider("openai", clock)
        self.keys = FakeKeys(gemini="g-key", openai="o-key")
        self.circuits = MemoryCircuits(clock)
        self.pauses: list[float] = []
        self.chain = Chain(
            [self.gemini, self.openai],
            self.keys,
            self.circuits,
            logger,
            timer=clock,
            sleep=self._sleep,
        )

    def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.clock.advance(seconds)

    def complete(self, parse: Callable[[str], Any] = str) -> Any:
        return self.chain.complete(PROMPT, parse, self.clock() + TIME_LIMIT)

    def next_provider(self) -> str:
        name: str = self.complete().provider
        return name


@pytest.fixture
def setup(clock: FakeClock, logger: Logger) -> Setup:
    return Setup(clock, logger)


def test_gemini_is_called_first(setup: Setup) -> None:
    result = setup.complete(str.upper)
    assert (result.provider, result.value, result.completion.tokens) == ("gemini", "FINE", 15)
    assert (setup.gemini.keys, setup.openai.calls) == (["g-key"], 0)


def test_providers_without_api_key_are_skipped(setup: Setup) -> None:
    del setup.keys.keys["gemini"]
    assert setup.next_provider() == "openai"
    assert setup.openai.timeouts == [TIME_LIMIT]
    del setup.keys.keys["openai"]
    with pytest.raises(NotConfiguredError):
        setup.complete()
    with pytest.raises(NotConfiguredError):
        setup.chain.check_configured()


@pytest.mark.parametrize("failure", list(Failure))
def test_the_next_provider_is_called_after_any_failure(setup: Setup, failure: Failure) -> None:
    setup.gemini.outcomes = [failing(failure)]
    assert setup.next_provider() == "openai"
    setup.openai.outcomes = [failing(failure)]
    with pytest.raises(NoCompletionError) as none:
        setup.complete()
    assert none.value.refused == (failure is Failure.REFUSED)


RETRIES: list[tuple[ProviderError, int]] = [
    (failing(Failure.UNREACHABLE), 2),
    (failing(Failure.SERVER_ERROR), 2),
    (failing(Failure.SERVER_ERROR, retry_after=1), 2),
    (failing(Failure.SERVER_ERROR, retry_after=30), 1),
    (failing(Failure.RATE_LIMITED, retry_after=2), 2),
    (failing(Failure.RATE_LIMITED, retry_after=3), 1),
    (failing(Failure.RATE_LIMITED), 1),
    (failing(Failure.TIMEOUT), 1),
    (failing(Failure.BROKEN_OFF), 1),
    (failing(Failure.MALFORMED), 1),
    (failing(Failure.KEY_REFUSED), 1),
    (failing(Failure.REJECTED), 1),
    (failing(Failure.REFUSED), 1),
]


@pytest.mark.parametrize(("error", "calls"), RETRIES, ids=repr)
def test_a_failure_is_retried_once_if_a_retry_is_safe(
    setup: Setup, error: ProviderError, calls: int
) -> None:
    setup.gemini.outcomes = [error]
    assert setup.next_provider() == "openai"
    assert setup.gemini.calls == calls
    assert len(setup.pauses) == calls - 1


def test_a_retry_may_succeed(setup: Setup) -> None:
    setup.gemini.outcomes = [failing(Failure.SERVER_ERROR), "better"]
    assert setup.complete().value == "better"
    assert setup.circuits.failures == {}


def test_pauses_before_retries_have_jitter_and_respect_retry_after(setup: Setup) -> None:
    for _ in range(20):
        setup.gemini.outcomes = [failing(Failure.RATE_LIMITED, retry_after=1), "fine"]
        setup.complete()
    assert all(1.1 <= pause <= 1.5 for pause in setup.pauses)
    assert len(set(setup.pauses)) > 10


def test_a_slow_provider_times_out_early_enough_for_the_next_provider(setup: Setup) -> None:
    setup.gemini.outcomes, setup.gemini.takes = [failing(Failure.TIMEOUT)], 100
    started = setup.clock()
    assert setup.next_provider() == "openai"
    assert setup.gemini.timeouts == [pytest.approx(13.8)]
    assert setup.openai.timeouts == [pytest.approx(9.2)]
    setup.openai.outcomes, setup.openai.takes = [failing(Failure.TIMEOUT)], 100
    started = setup.clock()
    with pytest.raises(NoCompletionError):
        setup.complete()
    assert setup.clock() - started == pytest.approx(TIME_LIMIT)


def test_no_call_or_retry_starts_if_too_little_time_is_left(setup: Setup) -> None:
    del setup.keys.keys["openai"]
    setup.gemini.outcomes, setup.gemini.takes = [failing(Failure.SERVER_ERROR)], 22
    with pytest.raises(NoCompletionError):
        setup.complete()
    assert setup.gemini.calls == 1
    setup.gemini.takes = 0
    with pytest.raises(NoCompletionError):
        setup.chain.complete(PROMPT, str, setup.clock() + 0.9)
    assert setup.gemini.calls == 1


def parse_number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InvalidCompletionError("not a number") from None


@pytest.mark.parametrize(
    ("gemini", "openai", "expected"),
    [
        (["3"], ["4"], ("gemini", 3, 1, 0)),
        (["three", "3"], ["4"], ("gemini", 3, 2, 0)),
        (["three"], ["4"], ("openai", 4, 2, 1)),
        (["three"], ["four", "4"], ("openai", 4, 2, 2)),
        (["three", failing(Failure.TIMEOUT)], ["4"], ("openai", 4, 2, 1)),
        (["three", failing(Failure.SERVER_ERROR), "3"], ["4"], ("gemini", 3, 3, 0)),
    ],
)
def test_an_invalid_completion_is_requested_once_more(
    setup: Setup, gemini: list[Outcome], openai: list[Outcome], expected: tuple[str, int, int, int]
) -> None:
    setup.gemini.outcomes, setup.openai.outcomes = gemini, openai
    result = setup.complete(parse_number)
    assert (result.provider, result.value, setup.gemini.calls, setup.openai.calls) == expected
    assert result.completion.tokens == 15, "only the last completion's tokens are counted"


def test_three_failures_open_the_circuit_for_a_minute(setup: Setup) -> None:
    setup.gemini.outcomes = [failing(Failure.TIMEOUT)]
    for _ in range(3):
        setup.complete()
    assert setup.gemini.calls == 3
    setup.clock.advance(59.9)
    assert setup.next_provider() == "openai"
    assert setup.gemini.calls == 3
    assert setup.openai.timeouts[-1] == TIME_LIMIT, "the next provider must have the full time"
    setup.clock.advance(0.1)
    assert setup.next_provider() == "openai"
    assert setup.gemini.calls == 4
    setup.clock.advance(30)
    setup.complete()
    assert setup.gemini.calls == 4, "a failed trial opens the circuit for another minute"
    setup.clock.advance(30)
    setup.gemini.outcomes = ["fine"]
    assert setup.next_provider() == "gemini"
    setup.gemini.outcomes = [failing(Failure.TIMEOUT)]
    setup.complete()
    setup.complete()
    assert setup.gemini.calls == 7, "a closed circuit opens after three failures"


def test_a_success_resets_the_failure_count(setup: Setup) -> None:
    error = failing(Failure.MALFORMED)
    setup.gemini.outcomes = [error, error, "fine", error, error, "fine"]
    results = [setup.next_provider() for _ in range(6)]
    assert results == ["openai", "openai", "gemini"] * 2


@pytest.mark.parametrize("failure", [Failure.REFUSED, Failure.REJECTED])
def test_failures_caused_by_the_prompt_do_not_open_the_circuit(
    setup: Setup, failure: Failure
) -> None:
    setup.gemini.outcomes = [failing(failure)]
    for _ in range(5):
        assert setup.next_provider() == "openai"
    assert setup.gemini.calls == 5


def test_no_provider_is_called_while_all_circuits_are_open(setup: Setup) -> None:
    for provider in ("gemini", "openai"):
        for _ in range(3):
            setup.circuits.record_failure(provider)
    with pytest.raises(NoCompletionError) as none:
        setup.complete()
    assert not none.value.refused
    assert (setup.gemini.calls, setup.openai.calls) == (0, 0)


def test_a_rejected_api_key_is_discarded_from_the_cache(setup: Setup) -> None:
    setup.gemini.outcomes = [failing(Failure.KEY_REFUSED)]
    setup.complete()
    assert setup.keys.forgotten == ["gemini"]


def test_a_provider_that_another_call_is_testing_is_skipped(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup.circuits, "try_enter", lambda provider, _: provider != "gemini")
    assert setup.next_provider() == "openai"
    assert setup.gemini.calls == 0


def test_the_log_contains_outcomes_but_no_prompts_or_completions(
    setup: Setup, logged: Callable[[], list[dict[str, Any]]]
) -> None:
    setup.gemini.outcomes, setup.gemini.takes = [failing(Failure.TIMEOUT)], 2
    setup.openai.outcomes = ["tell-tale completion"]
    setup.complete()
    lines = [
        (line["level"], line["provider"], line["outcome"], line["duration_ms"]) for line in logged()
    ]
    assert lines == [("WARNING", "gemini", "timeout", 2000), ("INFO", "openai", "completed", 0)]
    assert (logged()[1]["input_tokens"], logged()[1]["output_tokens"]) == (10, 5)
    assert "tell-tale" not in json.dumps(logged())
    assert "-key" not in json.dumps(logged())
