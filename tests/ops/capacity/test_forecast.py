"""Tests how rates, units, concurrency and limits are computed, and at how many users limits
break.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from ops.capacity.calls import load_rows
from ops.capacity.forecast import STEPS_PER_DECADE
from ops.capacity.load import POST, Loads
from ops.capacity.model import load_model
from ops.capacity.month import month_usage
from ops.capacity.processor import Measurement, Processor, load_processor
from ops.capacity.quotas import load_quotas
from ops.capacity.stack import Table
from ops.capacity.traffic import (
    DELIVER,
    MESSAGES,
    PUBLISH,
    SIGNALS,
    Design,
    peak_traffic,
    storm_traffic,
)
from ops.cost.bill import check_usage
from tests.ops.capacity.stacks import breaks_at, limit, make_forecast, make_stack

USERS = 86_400.0
"""A number of users. An action that each does once a day happens once a second on average.

At the model's peak factor of 3, the action happens 3 times a second.
"""


def test_rates_are_computed_for_the_peak() -> None:
    traffic = peak_traffic(load_model(), load_rows(), USERS, Design(300))
    assert traffic.rates["GET /v1/posts"] == pytest.approx(8 * 3)
    assert traffic.rates["frame connect"] == pytest.approx(4 * 3)
    assert traffic.rates["frame join_room"] == pytest.approx(4 * 3 * 3)
    # Users are online for 4 x 12 minutes a day. At the peak factor of 3, a tenth are online.
    assert traffic.rates["event authorize a token"] == pytest.approx(USERS / 10 / 300)


def test_as_many_events_are_published_as_requests_store_in_the_outbox() -> None:
    rows = load_rows()
    traffic = peak_traffic(load_model(), rows, USERS, Design(300))
    stored = sum(
        rate * rows[name].units.get("platform-outbox writes", 0) / 2
        for name, rate in traffic.rates.items()
        if not name.startswith("event ")
    )
    assert traffic.rates[PUBLISH] == pytest.approx(stored)


def test_after_an_outage_all_online_users_connect_within_a_minute() -> None:
    traffic = storm_traffic(load_model(), 600_000, Design(300))
    assert traffic.rates["frame connect"] == pytest.approx(60_000 / 60)
    assert traffic.rates["frame join_room"] == pytest.approx(3 * 60_000 / 60)


def test_read_units_are_computed_from_the_rows_of_calls_yml() -> None:
    forecast, rows = make_forecast(), load_rows()
    peak = forecast.point(USERS).peak
    lists = rows["GET /v1/posts"].units["post-counters reads"]
    assert peak.units["post-counters reads"] >= 24 * lists


PROCESSOR = Processor(
    measured=Measurement(
        date=date(2026, 1, 1), repetitions=1, processor="a processor", load_average=0
    ),
    requests={"GET /v1/posts": 7.5, "frame send_message": 9.0},
    memory_mb={},
)


def test_a_duration_is_the_cpu_time_divided_by_the_core_share_plus_the_waiting_time() -> None:
    rows, cores = load_rows(), 512 / 1769
    loads = Loads(load_model(), rows, make_stack(), load_quotas(), PROCESSOR)
    calls = sum(rows["GET /v1/posts"].calls.values())
    assert loads.duration("GET /v1/posts") == pytest.approx((7.5 / cores + calls * 6) / 1000)
    # This request has no measured CPU time, so the forecast uses the CPU times that the model
    # assumes for the handler and for each AWS call.
    calls = sum(rows["GET /v1/posts/{postId}"].calls.values())
    seconds = ((0.6 + calls * 1.15) / cores + calls * 6) / 1000
    assert loads.duration("GET /v1/posts/{postId}") == pytest.approx(seconds)


def test_the_measured_cpu_time_of_a_message_includes_its_posts_to_connections() -> None:
    row = load_rows()["frame send_message"]
    posts = row.calls[POST]
    model, cores = load_model(), 1024 / 1769
    loads = Loads(model, load_rows(), make_stack(), load_quotas(), PROCESSOR)
    calls = sum(row.calls.values()) - posts
    waiting = calls * 6 + row.cache * 1
    seconds = ((9.0 - posts * 0.65) / cores + waiting + 15) / 1000
    assert loads.duration("frame send_message") == pytest.approx(seconds)


def test_every_request_of_the_model_has_a_measured_cpu_time() -> None:
    """Only requests to language models and the delivery of queued frames are not measured."""
    traffic = peak_traffic(load_model(), load_rows(), 1e6, Design(300))
    missing = {
        name
        for name in traffic.rates.keys() - load_processor().requests.keys()
        if not name.startswith("POST /v1/ai/")
    }
    assert missing == {DELIVER}, "requests have no CPU time: run `python -m bench.processor_time`"


def test_each_listener_of_a_message_causes_a_post_to_connection_and_a_membership_read() -> None:
    forecast = make_forecast()
    model = load_model()
    traffic = peak_traffic(model, load_rows(), 1e6, Design(300))
    posts = forecast.point(1e6).peak.posts
    large = sum(
        room.share * (room.members * model.online_share - 1)
        for room in model.rooms
        if room.members * model.online_share > 100
    )
    messages = sum(traffic.rates.get(name, 0) for name in MESSAGES)
    assert posts > messages * large
    assert forecast.point(1e6).peak.units["chat-members reads"] > messages * large


def test_the_time_to_send_frames_is_the_larger_of_cpu_time_and_round_trip_time() -> None:
    loads = make_forecast().loads
    assert loads.posting("delivery", 1000) == pytest.approx(1000 * 0.65 * 1769 / 512 / 1000)
    assert loads.posting("delivery", 1) == pytest.approx(0.015)
    assert loads.posting("delivery", 0) == 0


def test_demands_never_fall_when_users_are_added() -> None:
    forecast = make_forecast()
    points = [forecast.point(10.0**power) for power in range(9)]
    for each in forecast.limits:
        demands = [each.demand(point) for point in points]
        for below, above in itertools.pairwise(demands):
            assert above >= below - 1e-9, each.name


def test_a_limit_breaks_where_its_demand_reaches_its_capacity() -> None:
    forecast = make_forecast()
    for use in forecast.uses(1000):
        if use.breaks_at is not None and use.breaks_at > 1:
            demand = use.limit.demand(forecast.point(use.breaks_at))
            # `breaks_at` is not exact. It is interpolated between the numbers of users for which
            # the forecast computes demands.
            assert demand == pytest.approx(use.limit.capacity, rel=2 / STEPS_PER_DECADE)


def test_the_limits_are_sorted_by_the_number_of_users_at_which_they_break() -> None:
    forecast = make_forecast()
    breaks = [use.breaks_at for use in forecast.uses(1e6) if use.breaks_at is not None]
    assert breaks == sorted(breaks)
    assert forecast.first_break() == breaks[0]


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("throttle of ANY /v1/posts/{proxy+}", {"rest": replace(make_stack().rest, rate=2000.0)}),
        ("timeline: writes of a shard", {"shards": 8}),
        ("NAT gateway connections", {"nat_gateways": 6}),
        ("CPU of Aurora's writer", {"aurora_units": (2, 32)}),
        ("memory of the cache", {"cache_node": "cache.t4g.medium"}),
        ("commands to the cache", {"cache_node": "cache.r7g.4xlarge"}),
        ("new WebSocket connections after an outage", {"reconnect_seconds": 600}),
        ("execution environments that chat starts", {"reconnect_seconds": 600}),
        ("SSM parameters that starting functions read", {"reconnect_seconds": 600}),
    ],
)
def test_raising_a_setting_raises_the_number_of_users_at_which_its_limit_breaks(
    name: str, changes: dict[str, Any]
) -> None:
    before, after = make_forecast(), make_forecast(**changes)
    name = next(each.name for each in before.limits if each.name.startswith(name))
    old_users, new_users = breaks_at(before, name), breaks_at(after, name)
    assert old_users is not None
    assert new_users is None or new_users > 1.9 * old_users


def test_more_shards_do_not_raise_the_limit_of_timeline_reads() -> None:
    name = "timeline: reads of a shard"
    assert breaks_at(make_forecast(), name) == breaks_at(make_forecast(shards=64), name)


def test_a_provisioned_table_is_limited_by_its_own_capacity() -> None:
    tables = {**make_stack().tables, "post-posts": Table("post-posts", 5, 7, ())}
    forecast = make_forecast(tables=tables)
    assert limit(forecast, "read units of the table post-posts").capacity == 5
    assert limit(forecast, "write units of the table post-posts").capacity == 7


def test_cognitos_own_mail_sender_is_the_first_limit_that_breaks() -> None:
    own, ses = make_forecast(), make_forecast(sends_mail_without_ses=False)
    assert own.uses(1000)[0].limit.source == "quota cognito.emails"
    # The model assumes that each user causes 0.015 mails a day.
    assert own.first_break() == pytest.approx(50 / 0.015, rel=0.01)
    assert all(each.source != "quota cognito.emails" for each in ses.limits)
    assert breaks_at(ses, "emails sent through SES") == pytest.approx(200 / 0.015, rel=0.01)


def test_provisioned_execution_environments_need_not_start_after_an_outage() -> None:
    functions = make_stack().functions
    warm = {**functions, "chat": replace(functions["chat"], provisioned=50)}
    before, after = make_forecast(), make_forecast(functions=warm)
    name = "execution environments that chat starts in 10 s after an outage"
    point = before.point(1e6)
    started = limit(before, name).demand(point)
    assert limit(after, name).demand(point) == pytest.approx(started - 50)


def test_sessions_that_remember_the_account_cause_fewer_reads_from_cognito() -> None:
    # A user refreshes the session 4 times a day. If the session remembers the account for a day,
    # only every fourth refresh reads the roles from Cognito.
    before, after = make_forecast(), make_forecast(account_seconds=86_400)
    name = "Cognito's UserResourceRead after an outage"
    point, other = before.point(1e6), after.point(1e6)
    assert limit(after, name).demand(other) == pytest.approx(limit(before, name).demand(point) / 4)
    assert other.storm.traffic.rest == pytest.approx(point.storm.traffic.rest)
    assert other.peak.traffic.rest == pytest.approx(point.peak.traffic.rest)
    # An hour is shorter than the time between two refreshes, so each refresh reads the roles.
    assert breaks_at(make_forecast(account_seconds=3600), name) == breaks_at(before, name)


def test_a_lower_signal_limit_reduces_the_posts_to_connections_of_medium_rooms() -> None:
    before, after = make_forecast(), make_forecast(signal_limit=20)
    rates = peak_traffic(load_model(), load_rows(), 1e6, Design(300)).rates
    signals = sum(rates.get(name, 0.0) for name in SIGNALS)
    # 8 % of the signals go to rooms with 500 members, of which 50 are online. The sender does not
    # receive its own signal.
    saved = before.point(1e6).peak.posts - after.point(1e6).peak.posts
    assert saved == pytest.approx(signals * 0.08 * 49)


def test_spreading_reconnections_over_a_longer_time_delays_the_recovery() -> None:
    assert make_forecast(reconnect_seconds=600).recovery_seconds(1000) == 600
    # The model assumes that clients spread their attempts to reconnect over at least 60 s
    # (`outage.seconds_to_reconnect`).
    assert make_forecast(reconnect_seconds=10).recovery_seconds(1000) == 60


def test_a_hot_room_has_at_most_as_many_listeners_as_members() -> None:
    forecast = make_forecast()
    room = limit(forecast, "hot room: time to send one frame")
    small, large, larger = (room.demand(forecast.point(n)) for n in (50_000, 100_000, 1e7))
    assert small == pytest.approx(large / 2, rel=0.01)
    assert large == larger


def test_a_backlog_makes_the_batches_of_a_hot_room_exceed_their_timeout() -> None:
    forecast = make_forecast()
    frame = limit(forecast, "hot room: time to send one frame")
    batch = limit(forecast, "hot room: time to send the frames of a batch")
    quiet, busy = forecast.point(10_000), forecast.point(100_000)
    assert batch.demand(quiet) == frame.demand(quiet)
    # While the function sends a frame to all listeners (22 s), 3.9 frames arrive. They form the
    # next batch.
    assert batch.demand(busy) == pytest.approx(frame.demand(busy) * 3.9, rel=0.01)
    assert batch.demand(busy) > batch.capacity > frame.demand(busy)


def test_the_parts_of_a_hot_room_receive_its_frames_in_parallel() -> None:
    source = replace(make_stack().event_sources["delivery/frames-source"], batch_size=1)
    sources = {**make_stack().event_sources, "delivery/frames-source": source}
    whole, parted = make_forecast(), make_forecast(room_parts=8, event_sources=sources)
    before, after = whole.point(1e6), parted.point(1e6)
    for start in ("hot room: time to send one frame", "hot room: time to deliver"):
        assert limit(parted, start).demand(after) == pytest.approx(
            limit(whole, start).demand(before) / 8, rel=0.01
        )
    # A batch has only one frame, so the time does not depend on the number of waiting frames.
    batch = limit(parted, "hot room: time to send the frames of a batch")
    assert batch.demand(after) < batch.capacity
    # Each of the room's eight parts causes a delivery event, but each connection receives a frame
    # only once.
    assert after.peak.traffic.rates[DELIVER] == 8 * before.peak.traffic.rates[DELIVER]
    assert after.peak.posts == pytest.approx(before.peak.posts)
    # One request to SQS contains up to five messages. The eight parts need eight messages, so two
    # requests.
    assert after.peak.calls["sqs.SendMessage"] == 2 * before.peak.calls["sqs.SendMessage"]


def test_the_likes_of_a_hot_post_are_limited_by_its_partition() -> None:
    forecast = make_forecast()
    likes = limit(forecast, "hot post: writes of its likes")
    # The model assumes a million likes within 6 hours. Each like uses two write units of each of
    # the tables that it changes.
    assert likes.demand(forecast.point(1e7)) == pytest.approx(1e6 / 21_600 * 2)
    assert likes.capacity == load_quotas().value("dynamodb.partition_writes")


def test_the_limit_with_the_highest_utilisation_determines_the_recovery_time() -> None:
    forecast = make_forecast()
    assert forecast.recovery_seconds(1000) == 60
    # A tenth of the users are online, and half of these refresh their session. Cognito allows 50
    # reads of groups per second.
    assert forecast.recovery_seconds(400_000) == pytest.approx(400_000 / 10 / 2 / 50)


def test_the_usage_of_a_month_has_only_quantities_that_the_bill_prices() -> None:
    forecast = make_forecast()
    check_usage(month_usage(forecast, 1000))
    small, large = month_usage(forecast, 1e6), month_usage(forecast, 2e6)
    assert large.requests == pytest.approx(2 * small.requests)
    path = "post/function/function"
    assert large.of("aws_lambda_function", path)["invocations"] == pytest.approx(
        2 * small.of("aws_lambda_function", path)["invocations"]
    )


def test_demands_between_the_computed_points_are_interpolated() -> None:
    forecast = make_forecast()
    throttle = limit(forecast, "throttle of ANY /v1/posts")
    counts = [100.0, 1000.0, 1010.0, 1020.0, 1e9]
    for count, value in zip(counts, forecast.series(throttle, counts), strict=True):
        demand = throttle.demand(forecast.point(count))
        assert value == pytest.approx(demand / throttle.capacity, rel=1e-3)
