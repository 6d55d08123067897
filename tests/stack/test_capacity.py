"""Tests `ops capacity` on the synthesized stacks of all environments."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from environments import environment_names, example_names, load_environment
from ops.capacity.calls import load_rows
from ops.capacity.forecast import Forecast
from ops.capacity.model import load_model
from ops.capacity.quotas import load_quotas
from ops.capacity.stack import read_stack
from ops.commands.capacity import show
from ops.cost.bill import make_bill
from ops.cost.resources import stack_resources
from ops.cost.usage import load_usage
from ops.root import Root
from ops.terraform.stack_document import read_synthesized
from tests.stack.stacks import synthesize
from tests.stack.test_terraform import check_valid

CPU_TIME_LIMIT = 2.0
"""Maximum seconds of CPU time that the command takes."""


@pytest.fixture(scope="module")
def stacks(synthesized: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Returns the folders of the stacks of all environments and examples."""
    names = ",".join(example_names())
    examples = synthesize(tmp_path_factory.mktemp("examples"), {"PLATFORM_ENVIRONMENTS": names})
    return {folder.name: folder for base in (synthesized, examples) for folder in base.iterdir()}


@pytest.mark.parametrize("name", [*environment_names(), *example_names()])
def test_the_command_responds_within_two_seconds(
    stacks: Mapping[str, Path], tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    begun, picture = time.process_time(), tmp_path / "picture.svg"
    show(read_synthesized(stacks[name]), 1e6, picture=picture, as_json=True)
    assert time.process_time() - begun < CPU_TIME_LIMIT
    document = json.loads(capsys.readouterr().out)
    assert len(document["limits"]) > 100
    assert document["firstBreakAt"] == document["limits"][0]["breaksAt"]
    assert document["usdPerMonth"] > 1000
    assert picture.read_text(encoding="utf-8").startswith("<svg")


@pytest.mark.parametrize("name", [*environment_names(), *example_names()])
def test_the_forecast_uses_the_settings_of_the_environment_file(
    stacks: Mapping[str, Path], name: str
) -> None:
    stack, environment = read_stack(read_synthesized(stacks[name])), load_environment(name)
    assert stack.shards == environment.dynamodb.timeline_shards
    assert stack.room_parts == environment.chat.room_parts
    assert stack.account_seconds == environment.auth.account_seconds
    assert stack.signal_limit == environment.chat.signal_limit
    assert stack.reconnect_seconds == environment.chat.reconnect_seconds
    assert stack.aurora_units == (environment.rds.min_capacity, environment.rds.max_capacity)
    assert stack.aurora_instances == environment.rds.instances
    assert stack.cache_node == environment.elasticache.node_type
    assert stack.nat_gateways == environment.network.nat_gateways
    for function in ("chat", "post", "auth", "authorizer"):
        reserved = stack.functions[function].reserved
        assert reserved == environment.reserved_concurrency(function)
    assert stack.rest.rate == 10 * environment.lambdas.reserved_concurrency
    assert stack.event_sources["relay/stream"].is_stream
    frames = stack.event_sources["delivery/frames-source"]
    assert not frames.is_stream
    has_parts = environment.chat.room_parts > 1
    assert (stack.has_high_throughput_fifo, frames.batch_size) == (
        has_parts,
        1 if has_parts else 10,
    )


def test_every_table_and_index_of_the_measured_calls_is_in_the_stack(synthesized: Path) -> None:
    tables = read_stack(read_synthesized(synthesized / "prod")).tables
    for row in load_rows().values():
        for key in row.units:
            table, _, index = key.partition(" ")[0].partition("/")
            assert not index or index in tables[table].indexes


def test_the_text_output_names_the_first_limits_and_the_settings_that_raise_them(
    synthesized: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    show(read_synthesized(synthesized / "prod"), None)
    text = capsys.readouterr().out
    assert "To raise these limits:" in text
    assert "setting: set mail_identity_arn in the environment file" in text
    assert "The month costs" in text


def test_terraform_accepts_the_example(stacks: Mapping[str, Path], root: Root) -> None:
    check_valid(stacks["scale"], root)


def test_the_example_supports_ten_million_users_with_the_quotas_that_it_states(
    stacks: Mapping[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    begun = time.process_time()
    show(read_synthesized(stacks["scale"]), 1e7, as_json=True)
    assert time.process_time() - begun < CPU_TIME_LIMIT
    document = json.loads(capsys.readouterr().out)
    exceeded = [each["name"] for each in document["limits"] if each["utilisation"] > 1]
    assert exceeded == []
    assert document["firstBreakAt"] > 1e7


def test_every_resource_of_the_example_has_a_price(stacks: Mapping[str, Path]) -> None:
    bill = make_bill(stack_resources(read_synthesized(stacks["scale"])), load_usage("idle"))
    assert bill.unpriced == ()


def test_ten_million_users_need_each_quota_that_the_example_states(
    stacks: Mapping[str, Path],
) -> None:
    granted, defaults = load_environment("scale").quotas, load_quotas()
    stack = read_stack(read_synthesized(stacks["scale"]))
    for name in granted:
        fewer = {key: value for key, value in granted.items() if key != name}
        quotas = defaults.with_granted(fewer)
        first = Forecast(stack, load_model(), quotas, load_rows()).first_break()
        assert first is not None
        assert first < 1e7, name
