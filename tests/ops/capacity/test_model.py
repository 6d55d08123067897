"""Tests the usage model and the quotas: valid files, and each kind of error."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.capacity.calls import load_rows
from ops.capacity.model import load_model
from ops.capacity.quotas import load_quotas
from ops.errors import OperatorError
from tests.ops.capacity.stacks import limit, make_forecast


def write(directory: Path, text: str) -> Path:
    file = directory / "usage.yml"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_file_replaces_single_numbers_of_the_built_in_model(tmp_path: Path) -> None:
    text = "population: {sessions: {value: 9, source: measured}}\nsources: {measured: CloudWatch}"
    changed, original = load_model(write(tmp_path, text)), load_model()
    assert changed.population.sessions.value == 9
    assert changed.requests == original.requests
    assert changed.population.session_minutes == original.population.session_minutes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("populatoin: {}", "populatoin: {}: unknown key: remove it, or correct its spelling"),
        (
            "population: {sessions: {value: -1, source: assumption}}",
            "population.sessions.value: -1: Input should be greater than or equal to 0",
        ),
        (
            "hot: {post_likes: {value: many, source: assumption}}",
            "hot.post_likes.value: 'many': Input should be a valid number",
        ),
        (
            "requests: {GET /v1/post: {value: 1, source: assumption}}",
            "requests.GET /v1/post: {'value': 1, 'source': 'assumption'}: no such request: did you"
            " mean GET /v1/posts?",
        ),
        (
            "frames: {send: {value: 1, source: assumption}}",
            "frames.send: {'value': 1, 'source': 'assumption'}: no such frame: ",
        ),
        (
            "frames: {ping: {value: 1, source: rumour}}",
            "frames.ping.source: 'rumour': no such source: use one of assumption, ",
        ),
        (
            "rooms: [{members: 2, share: 0.5, source: assumption}]",
            "the shares of `rooms` add up to 0.5, not to 1",
        ),
        (
            "outage: {seconds_to_reconnect: {value: 0, source: assumption}}",
            "outage.seconds_to_reconnect.value: 0: Input should be greater than 0",
        ),
        (
            "hot: {post_likes: {value: .inf, source: assumption}}",
            "hot.post_likes.value: inf: Input should be a finite number",
        ),
        ("frames: {}\nframes: {}", "the key 'frames' appears twice"),
        ("rooms: [", "invalid YAML"),
        ("[]", "expected a mapping of keys to values"),
    ],
)
def test_an_error_names_the_file_the_key_and_the_value(
    tmp_path: Path, text: str, message: str
) -> None:
    file = write(tmp_path, text)
    with pytest.raises(OperatorError) as raised:
        load_model(file)
    assert str(file) in str(raised.value)
    assert message in str(raised.value)


def test_the_error_for_a_missing_file_names_it(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="Cannot read .*absent.yml"):
        load_model(tmp_path / "absent.yml")


def test_every_quota_names_its_source_and_states_whether_it_was_verified() -> None:
    quotas = load_quotas()
    assert all(address.startswith("https://") for address in quotas.sources.values())
    assert {quota.source for quota in quotas.quotas.values()} <= quotas.sources.keys()
    unverified = {name for name, quota in quotas.quotas.items() if not quota.verified}
    assert unverified == {"elasticache.connections", "ssm.requests"}


def test_calls_yml_has_a_row_for_each_request_and_frame_of_the_model() -> None:
    model, rows = load_model(), load_rows()
    assert model.requests.keys() <= rows.keys()
    assert {f"frame {name}" for name in model.frames} <= rows.keys()


def test_granted_quotas_replace_the_defaults() -> None:
    quotas = load_quotas().with_granted({"ses.emails": 150_000})
    assert quotas.value("ses.emails") == 150_000
    assert quotas.value("sqs.fifo_requests") == load_quotas().value("sqs.fifo_requests")
    assert (
        make_forecast(sends_mail_without_ses=False, quotas=quotas).uses(1)[0].limit.name
        != "emails sent through SES"
    )
    mails = limit(
        make_forecast(sends_mail_without_ses=False, quotas=quotas), "emails sent through SES"
    )
    assert (mails.capacity, mails.source) == (150_000, "granted ses.emails")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("ses.mails", "no such quota: use one of .*ses.emails"),
        ("sqs.fifo_requests", "AWS does not raise this quota"),
    ],
)
def test_granting_an_unknown_or_fixed_quota_is_an_error(name: str, reason: str) -> None:
    with pytest.raises(OperatorError, match=rf"quotas\.{name}: {reason}"):
        load_quotas().with_granted({name: 1.0})
