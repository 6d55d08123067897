"""Tests the chain of providers: order, time limits, retries, circuits and fallback."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from aws_lambda_powertools.logging import Logger

from lambdas.ai.chain import Chain, InvalidCompletionError, NoCompletionError, NotConfiguredError
from lambdas.ai.providers import Failure, Prompt, ProviderError, Turn
from tests.lambdas.ai.fakes import FakeApiKeys, MemoryCircuits, Outcome, ScriptedProvider, failing
from tests.lambdas.support import FakeClock

PROMPT = Prompt(
    instruction="Be brief.", turns=(Turn("user", "tell-tale question"),), output_limit=100
)
TIME_LIMIT = 23.0


class ScriptedChain:
    """A chain of two scripted providers."""

    def __init__(self, clock: FakeClock, logger: Logger) -> None:
        self.clock = clock
        self.gemini = ScriptedProvider("gemini", clock)
        self.openai = ScriptedProvider("openai", clock)
        self.keys = FakeApiKeys(gemini="g-key", openai="o-key")
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
def scripted_chain(clock: FakeClock, logger: Logger) -> ScriptedChain:
    return ScriptedChain(clock, logger)


def test_gemini_is_called_first(scripted_chain: ScriptedChain) -> None:
    result = scripted_chain.complete(str.upper)
    assert (result.provider, result.value, result.completion.tokens) == ("gemini", "FINE", 15)
    assert (scripted_chain.gemini.keys, scripted_chain.openai.calls) == (["g-key"], 0)


def test_providers_without_api_key_are_skipped(scripted_chain: ScriptedChain) -> None:
    del scripted_chain.keys.keys["gemini"]
    assert scripted_chain.next_provider() == "openai"
    assert scripted_chain.openai.timeouts == [TIME_LIMIT]
    del scripted_chain.keys.keys["openai"]
    with pytest.raises(NotConfiguredError):
        scripted_chain.complete()
    with pytest.raises(NotConfiguredError):
        scripted_chain.chain.check_configured()


@pytest.mark.parametrize("failure", list(Failure))
def test_the_next_provider_is_called_after_any_failure(
    scripted_chain: ScriptedChain, failure: Failure
) -> None:
    scripted_chain.gemini.outcomes = [failing(failure)]
    assert scripted_chain.next_provider() == "openai"
    scripted_chain.openai.outcomes = [failing(failure)]
    with pytest.raises(NoCompletionError) as none:
        scripted_chain.complete()
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
    scripted_chain: ScriptedChain, error: ProviderError, calls: int
) -> None:
    scripted_chain.gemini.outcomes = [error]
    assert scripted_chain.next_provider() == "openai"
    assert scripted_chain.gemini.calls == calls
    assert len(scripted_chain.pauses) == calls - 1


def test_a_retry_may_succeed(scripted_chain: ScriptedChain) -> None:
    scripted_chain.gemini.outcomes = [failing(Failure.SERVER_ERROR), "better"]
    assert scripted_chain.complete().value == "better"
    assert scripted_chain.circuits.failures == {}


def test_pauses_before_retries_have_jitter_and_respect_retry_after(
    scripted_chain: ScriptedChain,
) -> None:
    for _ in range(20):
        scripted_chain.gemini.outcomes = [failing(Failure.RATE_LIMITED, retry_after=1), "fine"]
        scripted_chain.complete()
    assert all(1.1 <= pause <= 1.5 for pause in scripted_chain.pauses)
    assert len(set(scripted_chain.pauses)) > 10


def test_a_slow_provider_times_out_early_enough_for_the_next_provider(
    scripted_chain: ScriptedChain,
) -> None:
    scripted_chain.gemini.outcomes, scripted_chain.gemini.duration = [failing(Failure.TIMEOUT)], 100
    started = scripted_chain.clock()
    assert scripted_chain.next_provider() == "openai"
    assert scripted_chain.gemini.timeouts == [pytest.approx(13.8)]
    assert scripted_chain.openai.timeouts == [pytest.approx(9.2)]
    scripted_chain.openai.outcomes, scripted_chain.openai.duration = [failing(Failure.TIMEOUT)], 100
    started = scripted_chain.clock()
    with pytest.raises(NoCompletionError):
        scripted_chain.complete()
    assert scripted_chain.clock() - started == pytest.approx(TIME_LIMIT)


def test_no_call_or_retry_starts_if_too_little_time_is_left(scripted_chain: ScriptedChain) -> None:
    del scripted_chain.keys.keys["openai"]
    scripted_chain.gemini.outcomes, scripted_chain.gemini.duration = (
        [failing(Failure.SERVER_ERROR)],
        22,
    )
    with pytest.raises(NoCompletionError):
        scripted_chain.complete()
    assert scripted_chain.gemini.calls == 1
    scripted_chain.gemini.duration = 0
    with pytest.raises(NoCompletionError):
        scripted_chain.chain.complete(PROMPT, str, scripted_chain.clock() + 0.9)
    assert scripted_chain.gemini.calls == 1


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
    scripted_chain: ScriptedChain,
    gemini: list[Outcome],
    openai: list[Outcome],
    expected: tuple[str, int, int, int],
) -> None:
    scripted_chain.gemini.outcomes, scripted_chain.openai.outcomes = gemini, openai
    result = scripted_chain.complete(parse_number)
    assert (
        result.provider,
        result.value,
        scripted_chain.gemini.calls,
        scripted_chain.openai.calls,
    ) == expected
    assert result.completion.tokens == 15, "only the last completion's tokens are counted"


def test_three_failures_open_the_circuit_for_a_minute(scripted_chain: ScriptedChain) -> None:
    scripted_chain.gemini.outcomes = [failing(Failure.TIMEOUT)]
    for _ in range(3):
        scripted_chain.complete()
    assert scripted_chain.gemini.calls == 3
    scripted_chain.clock.advance(59.9)
    assert scripted_chain.next_provider() == "openai"
    assert scripted_chain.gemini.calls == 3
    assert scripted_chain.openai.timeouts[-1] == TIME_LIMIT, (
        "the next provider must have the full time"
    )
    scripted_chain.clock.advance(0.1)
    assert scripted_chain.next_provider() == "openai"
    assert scripted_chain.gemini.calls == 4
    scripted_chain.clock.advance(30)
    scripted_chain.complete()
    assert scripted_chain.gemini.calls == 4, "a failed trial opens the circuit for another minute"
    scripted_chain.clock.advance(30)
    scripted_chain.gemini.outcomes = ["fine"]
    assert scripted_chain.next_provider() == "gemini"
    scripted_chain.gemini.outcomes = [failing(Failure.TIMEOUT)]
    scripted_chain.complete()
    scripted_chain.complete()
    assert scripted_chain.gemini.calls == 7, "a closed circuit opens after three failures"


def test_a_success_resets_the_failure_count(scripted_chain: ScriptedChain) -> None:
    error = failing(Failure.MALFORMED)
    scripted_chain.gemini.outcomes = [error, error, "fine", error, error, "fine"]
    results = [scripted_chain.next_provider() for _ in range(6)]
    assert results == ["openai", "openai", "gemini"] * 2


@pytest.mark.parametrize("failure", [Failure.REFUSED, Failure.REJECTED])
def test_failures_caused_by_the_prompt_do_not_open_the_circuit(
    scripted_chain: ScriptedChain, failure: Failure
) -> None:
    scripted_chain.gemini.outcomes = [failing(failure)]
    for _ in range(5):
        assert scripted_chain.next_provider() == "openai"
    assert scripted_chain.gemini.calls == 5


def test_no_provider_is_called_while_all_circuits_are_open(scripted_chain: ScriptedChain) -> None:
    for provider in ("gemini", "openai"):
        for _ in range(3):
            scripted_chain.circuits.record_failure(provider)
    with pytest.raises(NoCompletionError) as none:
        scripted_chain.complete()
    assert not none.value.refused
    assert (scripted_chain.gemini.calls, scripted_chain.openai.calls) == (0, 0)


def test_a_rejected_api_key_is_discarded_from_the_cache(scripted_chain: ScriptedChain) -> None:
    scripted_chain.gemini.outcomes = [failing(Failure.KEY_REFUSED)]
    scripted_chain.complete()
    assert scripted_chain.keys.discarded == ["gemini"]


def test_a_provider_that_another_call_is_testing_is_skipped(
    scripted_chain: ScriptedChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        scripted_chain.circuits, "try_enter", lambda provider, _: provider != "gemini"
    )
    assert scripted_chain.next_provider() == "openai"
    assert scripted_chain.gemini.calls == 0


def test_the_log_contains_outcomes_but_no_prompts_or_completions(
    scripted_chain: ScriptedChain, logged: Callable[[], list[dict[str, Any]]]
) -> None:
    scripted_chain.gemini.outcomes, scripted_chain.gemini.duration = [failing(Failure.TIMEOUT)], 2
    scripted_chain.openai.outcomes = ["tell-tale completion"]
    scripted_chain.complete()
    lines = [
        (line["level"], line["provider"], line["outcome"], line["duration_ms"]) for line in logged()
    ]
    assert lines == [("WARNING", "gemini", "timeout", 2000), ("INFO", "openai", "completed", 0)]
    assert (logged()[1]["input_tokens"], logged()[1]["output_tokens"]) == (10, 5)
    assert "tell-tale" not in json.dumps(logged())
    assert "-key" not in json.dumps(logged())
