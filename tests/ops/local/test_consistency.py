"""Tests how `ops up` continues after each outcome of the previous run."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.cloud import Cloud
from ops.errors import InterruptedRunError, OperatorError
from ops.local.consistency import StateConsistency
from ops.root import Root
from ops.terraform.runner import TerraformError, TerraformKilledError


class World:
    """Counts the applies of the stack, and the resets of the embedded AWS.

    `errors` contains the error of each apply, or None for an apply that succeeds.
    """

    def __init__(self) -> None:
        self.errors: list[Exception | None] = []
        self.applies = 0
        self.resets = 0
        self.killed = False
        self.adoptable: set[str] = set()
        self.dropped: set[str] = set()
        self.adopted: list[list[str]] = []

    def apply(self) -> None:
        self.applies += 1
        error = self.errors.pop(0) if self.errors else None
        if error:
            raise error

    def reset(self) -> Path:
        self.resets += 1
        return Path("copy")

    def adopt(self, existing: frozenset[str], absent: frozenset[str]) -> list[str]:
        self.dropped |= absent
        addresses = sorted(existing & self.adoptable)
        if addresses:
            self.adopted.append(addresses)
        return addresses


@pytest.fixture
def world() -> World:
    return World()


def run_apply(root: Root, world: World, *, reset: bool = False) -> None:
    consistency = StateConsistency(root, root.path / "stack", world.reset)
    if world.killed:
        consistency.doubt()
    consistency.check(reset=reset)
    consistency.run(lambda: consistency.apply(world.apply), world.adopt)


def fail(root: Root, world: World, error: Exception) -> None:
    world.errors = [error]
    with pytest.raises(type(error)):
        run_apply(root, world)


@pytest.mark.parametrize("error", [TerraformError("mistake"), InterruptedRunError("stopped")])
def test_the_embedded_aws_is_kept_if_the_failed_apply_stored_its_state(
    root: Root, world: World, error: Exception
) -> None:
    fail(root, world, error)
    fail(root, world, TerraformError("the next mistake"))
    assert world.resets == 0
    run_apply(root, world)
    assert world.resets == 0


def test_the_embedded_aws_is_reset_after_a_killed_first_apply(root: Root, world: World) -> None:
    fail(root, world, TerraformKilledError("killed"))
    run_apply(root, world)
    assert (world.resets, world.applies) == (1, 2)


@pytest.mark.parametrize("applied", [False, True])
def test_a_reset_deletes_states_that_terraform_could_not_store(
    root: Root, world: World, applied: bool
) -> None:
    directory = root.path / "stack"
    directory.mkdir()
    if applied:
        run_apply(root, world)
    fail(root, world, TerraformKilledError("killed"))
    for name in ("errored.tfstate", "errored-1.tfstate", "cdk.tf.json"):
        (directory / name).touch()
    run_apply(root, world, reset=applied)
    assert world.resets == 1
    assert [file.name for file in directory.iterdir()] == ["cdk.tf.json"]


def test_a_state_that_terraform_could_not_store_is_kept_unless_aws_is_reset(
    root: Root, world: World
) -> None:
    state = root.path / "stack/errored.tfstate"
    state.parent.mkdir()
    state.touch()
    run_apply(root, world)
    assert state.exists()


def test_data_is_kept_if_the_apply_after_a_kill_succeeds(root: Root, world: World) -> None:
    run_apply(root, world)
    fail(root, world, TerraformKilledError("killed"))
    run_apply(root, world)
    assert world.resets == 0


EXISTING = TerraformError("already exists", {"aws_dynamodb_table.items"})


def test_resources_that_a_killed_apply_created_are_adopted(root: Root, world: World) -> None:
    run_apply(root, world)
    fail(root, world, TerraformKilledError("killed"))
    world.errors = [EXISTING, EXISTING]
    world.adoptable = {"aws_dynamodb_table.items"}
    run_apply(root, world)
    assert (world.resets, world.applies) == (0, 5)


def test_imports_of_missing_resources_are_dropped_and_the_apply_is_repeated(
    root: Root, world: World
) -> None:
    run_apply(root, world)
    fail(root, world, TerraformKilledError("killed"))
    world.errors = [TerraformError("cannot import", absent={"aws_dynamodb_table.items"})]
    run_apply(root, world)
    assert (world.applies, world.dropped) == (4, {"aws_dynamodb_table.items"})


def test_a_loss_of_changes_is_remembered_until_an_apply_has_succeeded(
    root: Root, world: World
) -> None:
    def consistency() -> StateConsistency:
        return StateConsistency(root, root.path / "stack", world.reset)

    run_apply(root, world)
    fail(root, world, TerraformKilledError("killed"))
    assert not consistency().may_lack_changes
    # The embedded AWS was killed too.
    consistency().doubt()
    assert consistency().may_lack_changes
    fail(root, world, TerraformKilledError("killed"))
    assert consistency().may_lack_changes
    run_apply(root, world)
    assert not consistency().may_lack_changes
    fail(root, world, TerraformKilledError("killed"))
    assert not consistency().may_lack_changes


def test_if_fit_json_is_damaged_an_embedded_aws_with_data_is_assumed_to_have_lost_changes(
    root: Root, world: World
) -> None:
    (root.path / "aws").mkdir(parents=True)
    (root.path / "fit.json").write_text("{")
    assert StateConsistency(root, root.path / "stack", world.reset).may_lack_changes


REPEATED = TerraformError(
    "already exists",
    existing={"aws_rds_cluster.slow", "aws_sns_topic.mistake"},
    repeated={"aws_rds_cluster.slow"},
)


def test_a_resource_whose_creation_the_provider_repeated_is_adopted(
    root: Root, world: World
) -> None:
    world.errors = [REPEATED]
    world.adoptable = set(REPEATED.existing)
    run_apply(root, world)
    assert (world.resets, world.applies, world.adopted) == (0, 2, [["aws_rds_cluster.slow"]])


def test_a_resource_that_existed_before_the_first_apply_is_not_adopted(
    root: Root, world: World
) -> None:
    world.adoptable = set(EXISTING.existing)
    fail(root, world, EXISTING)
    assert world.adopted == []


def test_the_next_apply_adopts_resources_that_a_repeated_creation_left_unadopted(
    root: Root, world: World
) -> None:
    run_apply(root, world)
    fail(root, world, REPEATED)
    world.errors = [EXISTING]
    world.adoptable = set(EXISTING.existing)
    run_apply(root, world)
    assert (world.resets, world.applies) == (0, 4)


@pytest.mark.parametrize("aws_was_killed", [False, True])
def test_data_that_cannot_be_reconciled_is_kept_until_the_operator_resets(
    root: Root, world: World, aws_was_killed: bool
) -> None:
    run_apply(root, world)
    if aws_was_killed:
        world.killed = True
    else:
        fail(root, world, TerraformKilledError("killed"))
    for error in (EXISTING, TerraformError("no such thing")):
        world.errors = [error]
        with pytest.raises(OperatorError, match=r"(?s)Nothing was deleted.*`ops up --reset`"):
            run_apply(root, world)
    assert world.resets == 0
    world.killed = False
    run_apply(root, world, reset=True)
    assert world.resets == 1


def test_data_is_not_deleted_after_a_second_kill(root: Root, world: World) -> None:
    run_apply(root, world)
    fail(root, world, TerraformKilledError("killed"))
    fail(root, world, TerraformKilledError("killed again"))
    world.errors = [EXISTING]
    with pytest.raises(OperatorError, match="Nothing was deleted"):
        run_apply(root, world)


def test_data_is_not_deleted_after_an_interrupted_repair(root: Root, world: World) -> None:
    run_apply(root, world)
    fail(root, world, TerraformKilledError("killed"))
    fail(root, world, InterruptedRunError("stopped"))
    world.errors = [EXISTING]
    with pytest.raises(OperatorError, match="Nothing was deleted"):
        run_apply(root, world)


def test_a_damaged_fit_json_does_not_reset_the_embedded_aws(root: Root, world: World) -> None:
    run_apply(root, world)
    (root.path / "aws").mkdir()
    (root.path / "fit.json").write_bytes(b"\xff")
    fail(root, world, TerraformKilledError("killed"))
    run_apply(root, world)
    assert world.resets == 0


def test_a_lost_state_is_an_error_if_the_embedded_aws_has_tables(
    root: Root, world: World, cloud: Cloud
) -> None:
    consistency = StateConsistency(root, root.path / "stack", world.reset)
    dynamodb = cloud.client("dynamodb")
    dynamodb.create_table(
        TableName="items",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    # Nothing was applied, so no state can be lost.
    consistency.refuse_lost_state(cloud, Path("state.json"))
    run_apply(root, world)
    applied = StateConsistency(root, root.path / "stack", world.reset)
    with pytest.raises(
        OperatorError, match=r"copy it to state\.json and .* keeps a copy of the data"
    ):
        applied.refuse_lost_state(cloud, Path("state.json"))
    state = cloud.environment.state
    cloud.client("s3").create_bucket(Bucket=state.bucket)
    cloud.client("s3").put_object(Bucket=state.bucket, Key=state.key, Body=b"{}")
    applied.refuse_lost_state(cloud, Path("state.json"))
    cloud.client("s3").delete_object(Bucket=state.bucket, Key=state.key)
    dynamodb.delete_table(TableName="items")
    applied.refuse_lost_state(cloud, Path("state.json"))
    assert world.resets == 0
