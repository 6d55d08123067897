from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ops.errors import FullDiskError, InterruptedRunError
from ops.terraform.runner import (
    Apply,
    PlanFile,
    Terraform,
    TerraformError,
    TerraformKilledError,
    describe_counts,
    last_run,
)

PROGRAM = """#!{python}
import json, os, pathlib, sys, time
calls = pathlib.Path("calls")
calls.write_text((calls.read_text() if calls.exists() else "") + " ".join(sys.argv[1:]) + "\\n")
{body}
"""


def hook(kind: str, address: str) -> dict[str, Any]:
    return {"type": kind, "hook": {"resource": {"addr": address}}}


def failure(address: str, text: str, seconds: int) -> list[dict[str, Any]]:
    """Returns the messages about an action that failed after some seconds."""
    errored = hook("apply_errored", address)
    errored["hook"]["elapsed_seconds"] = seconds
    diagnostic = {"severity": "error", "summary": text, "address": address}
    return [errored, {"type": "diagnostic", "diagnostic": diagnostic}]


def change(kind: str, address: str, action: str) -> dict[str, Any]:
    return {"type": kind, "change": {"resource": {"addr": address}, "action": action}}


def plan_summary(**counts: int) -> dict[str, Any]:
    return {
        "type": "change_summary",
        "changes": {"add": 0, "change": 0, "remove": 0, "operation": "plan", **counts},
    }


class TestApply:
    def test_progress_line_has_completed_and_planned_actions_and_the_slowest_resource(self) -> None:
        state = Apply()
        for at, message in enumerate(
            [
                plan_summary(add=2, change=1),
                hook("apply_start", "aws_sqs_queue.slow"),
                hook("apply_start", "aws_s3_bucket.later"),
                hook("apply_start", "aws_sns_topic.quick"),
                hook("apply_complete", "aws_sns_topic.quick"),
            ]
        ):
            state.feed(message, float(at))
        assert state.line(now=31.0) == ("terraform: 1 of 3, waiting for aws_sqs_queue.slow (30 s)")
        # One of the three actions is complete after 30 s, so the other two are estimated at 60 s.
        assert state.seconds_left(now=31.0) == 60.0

    def test_the_remaining_time_is_not_estimated_from_the_first_actions(self) -> None:
        state = Apply()
        state.feed(plan_summary(add=100), 0.0)
        for number in range(10):
            assert state.seconds_left(now=5.0) is None
            state.feed(hook("apply_start", f"a.b{number}"), 0.0)
            state.feed(hook("apply_complete", f"a.b{number}"), 0.0)
        assert state.seconds_left(now=5.0) == 45.0

    def test_progress_line_counts_refreshed_resources_before_the_plan(self) -> None:
        state = Apply()
        state.feed(hook("refresh_complete", "a.b"), 0.0)
        assert state.line(1.0) == "terraform: reading (1 resources read)"
        assert state.seconds_left(1.0) is None

    def test_failed_resource_is_neither_active_nor_done(self) -> None:
        state = Apply()
        for message in (
            plan_summary(add=1),
            hook("apply_start", "a.b"),
            hook("apply_errored", "a.b"),
        ):
            state.feed(message, 0.0)
        assert state.line(5.0) == "terraform: 0 of 1"

    def test_warnings_are_not_errors(self) -> None:
        state = Apply()
        for severity in ("warning", "error"):
            diagnostic = {
                "severity": severity,
                "summary": "Bad",
                "detail": severity,
                "address": "a.b",
            }
            state.feed({"type": "diagnostic", "diagnostic": diagnostic}, 0.0)
        assert state.errors == ["a.b: Bad: error"]

    @pytest.mark.parametrize(
        ("counts", "words"),
        [
            ({"add": 3, "change": 0, "remove": 1}, "3 to add, 1 to remove"),
            ({"add": 0}, "nothing to change"),
        ],
    )
    def test_counts_are_written_as_text(self, counts: dict[str, int], words: str) -> None:
        assert describe_counts(counts) == words


@pytest.fixture
def make_terraform(tmp_path: Path) -> Callable[..., Terraform]:
    """Returns a function that creates a Terraform whose executable is a Python program."""

    def create(body: str, **options: Any) -> Terraform:
        stack = tmp_path / "stack"
        (stack / ".terraform").mkdir(parents=True, exist_ok=True)
        (stack / "cdk.tf.json").write_text(
            json.dumps({"terraform": {"backend": {"s3": {"bucket": "one"}}}})
        )
        executable = tmp_path / "terraform"
        executable.write_text(PROGRAM.format(python=sys.executable, body=body))
        executable.chmod(0o755)
        return Terraform(executable, stack, os.environ, tmp_path / "log.jsonl", **options)

    return create


def emit(*messages: dict[str, Any]) -> str:
    return "\n".join(f"print({json.dumps(message)!r}, flush=True)" for message in messages)


class TestRuns:
    def test_apply_returns_outputs_and_logs_the_stream(
        self, make_terraform: Callable[..., Terraform], tmp_path: Path
    ) -> None:
        outputs = {
            "type": "outputs",
            "outputs": {
                "api_url": {"value": "http://x", "sensitive": False},
                "key": {"sensitive": True},
            },
        }
        result = make_terraform(emit(plan_summary(add=1), outputs)).apply()
        assert result.outputs == {"api_url": "http://x", "key": None}
        assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 2

    def test_apply_of_a_plan_returns_the_counts_of_the_plan(
        self, make_terraform: Callable[..., Terraform], tmp_path: Path
    ) -> None:
        stack = make_terraform("if sys.argv[1] == 'plan':\n    " + emit(plan_summary(add=2)))
        file = tmp_path / "plan"
        plan = stack.plan(file)
        assert plan == PlanFile(file, {"add": 2, "change": 0, "remove": 0}, {})
        assert stack.apply(plan).counts == plan.counts
        planned, applied = (stack.directory / "calls").read_text().splitlines()
        assert f"-out={file}" in planned
        assert applied.endswith(f" {file}")

    def test_plan_lists_destroyed_resources(
        self, make_terraform: Callable[..., Terraform], tmp_path: Path
    ) -> None:
        actions = {
            "a.made": "create",
            "a.gone": "delete",
            "a.other": "replace",
            "a.same": "update",
            "a.left": "remove",
        }
        drift = change("resource_drift", "a.changed_by_hand", "delete")
        planned = [change("planned_change", address, action) for address, action in actions.items()]
        plan = make_terraform(emit(drift, *planned, plan_summary(add=2, remove=2))).plan(
            tmp_path / "plan"
        )
        assert plan.destroys == {"a.gone": "destroy", "a.other": "replace"}
        assert plan.lines() == ["2 to add, 2 to remove", "  destroy a.gone", "  replace a.other"]

    def test_repeated_errors_are_reported_once(
        self, make_terraform: Callable[..., Terraform]
    ) -> None:
        error = {
            "type": "diagnostic",
            "diagnostic": {
                "severity": "error",
                "summary": "No",
                "detail": "because",
                "address": "a.b",
            },
        }
        with pytest.raises(TerraformError, match=r"^a\.b: No: because$"):
            make_terraform(emit(error, error) + "\nsys.exit(1)").apply()

    def test_an_existing_resource_whose_creation_took_long_counts_as_created_by_this_run(
        self, make_terraform: Callable[..., Terraform]
    ) -> None:
        """The provider repeats a creation that took too long. The first call may have succeeded."""
        messages = [
            *failure("aws_rds_cluster.slow", "DBClusterAlreadyExistsFault", 153),
            *failure("aws_sns_topic.mistake", "AlreadyExists", 2),
            *failure("aws_sqs_queue.slow", "AccessDenied", 180),
        ]
        with pytest.raises(TerraformError) as caught:
            make_terraform(emit(*messages) + "\nsys.exit(1)").apply()
        assert caught.value.existing == {"aws_rds_cluster.slow", "aws_sns_topic.mistake"}
        assert caught.value.repeated == {"aws_rds_cluster.slow"}

    def test_an_exceeded_time_limit_is_explained(
        self, make_terraform: Callable[..., Terraform]
    ) -> None:
        messages = failure("a.b", "timeout while waiting for state to become 'true'", 180)
        with pytest.raises(TerraformError, match="Run the same command again: it continues"):
            make_terraform(emit(*messages) + "\nsys.exit(1)").apply()

    def test_an_error_about_a_full_disk_is_reported_in_one_line(
        self, make_terraform: Callable[..., Terraform]
    ) -> None:
        messages = failure("a.b", "Failed to save state: no space left on device", 1)
        with pytest.raises(FullDiskError, match=r"^The disk is full: [^\n]*$"):
            make_terraform(emit(*messages) + "\nsys.exit(1)").apply()

    @pytest.mark.parametrize("file", ["log.jsonl", "stack/.terraform/run.json"])
    def test_terraform_ends_before_a_full_disk_is_reported(
        self, make_terraform: Callable[..., Terraform], tmp_path: Path, file: str
    ) -> None:
        stack = make_terraform(
            "import signal\n"
            "def stop(*_): pathlib.Path('stored').touch(); sys.exit(1)\n"
            "signal.signal(signal.SIGINT, stop)\n" + emit(plan_summary(add=1)) + "\ntime.sleep(60)"
        )
        (tmp_path / file).symlink_to("/dev/full")
        begun = time.monotonic()
        with pytest.raises((FullDiskError, OSError), match="No space left on device"):
            stack.apply()
        assert time.monotonic() - begun < 15
        if file == "log.jsonl":
            assert (stack.directory / "stored").exists()

    def test_plain_text_output_is_reported_as_error(
        self, make_terraform: Callable[..., Terraform]
    ) -> None:
        with pytest.raises(TerraformError, match="Backend initialization required"):
            make_terraform("print('Backend initialization required'); sys.exit(1)").apply()

    def test_killed_run_raises_terraform_killed_error(
        self, make_terraform: Callable[..., Terraform]
    ) -> None:
        with pytest.raises(TerraformKilledError):
            make_terraform("os.kill(os.getpid(), 9)").apply()

    def test_run_is_stopped_if_the_guard_returns_a_reason(
        self, make_terraform: Callable[..., Terraform]
    ) -> None:
        # A shell makes its background processes ignore SIGINT. The program restores the handler, so
        # that the test also passes in the background.
        program = (
            "import signal\n"
            "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
            "time.sleep(60)"
        )
        stack = make_terraform(program, guard=lambda: "the cloud has ended")
        begun = time.monotonic()
        with pytest.raises(TerraformKilledError, match="the cloud has ended"):
            stack.apply()
        assert time.monotonic() - begun < 15

    def test_interrupt_is_forwarded_once_and_terraform_may_finish(
        self, make_terraform: Callable[..., Terraform], tmp_path: Path
    ) -> None:
        stack = make_terraform(
            "import signal\n"
            "def stop(*_): pathlib.Path('stored').touch(); sys.exit(1)\n"
            "signal.signal(signal.SIGINT, stop)\n" + emit(plan_summary(add=1)) + "\ntime.sleep(60)"
        )

        def interrupt() -> None:
            log = tmp_path / "log.jsonl"
            # The program writes this line after it has installed its handler.
            while not (log.exists() and "change_summary" in log.read_text()):
                time.sleep(0.05)
            os.kill(os.getpid(), signal.SIGINT)

        threading.Thread(target=interrupt).start()
        with pytest.raises(InterruptedRunError):
            stack.apply()
        assert (stack.directory / "stored").exists()

    def test_run_is_recorded_with_start_and_end(
        self, make_terraform: Callable[..., Terraform]
    ) -> None:
        stack = make_terraform("")
        stack.apply()
        run = last_run(stack.directory)
        assert run
        assert run.finished
        assert run.started <= run.finished
        assert run.find() is None

    def test_state_that_an_earlier_run_could_not_store_is_pushed_first(
        self, make_terraform: Callable[..., Terraform]
    ) -> None:
        stack = make_terraform("")
        (stack.directory / "errored.tfstate").write_text("{}")
        stack.apply()
        assert (stack.directory / "calls").read_text().splitlines()[
            0
        ] == "state push errored.tfstate"
        assert not (stack.directory / "errored.tfstate").exists()

    @pytest.mark.parametrize(
        "error",
        [
            "cannot import state with serial 4 over newer state with serial 7",
            'cannot import state with lineage "a" over unrelated state with lineage "b"',
        ],
    )
    def test_state_older_than_the_stored_state_is_renamed(
        self, make_terraform: Callable[..., Terraform], error: str
    ) -> None:
        failure = f"Failed to write state: {error}"
        stack = make_terraform(f"sys.exit({failure!r} if sys.argv[1] == 'state' else 0)")
        (stack.directory / "errored.tfstate").write_text("{}")
        stack.apply()
        assert [file.read_text() for file in stack.directory.glob("errored-*.tfstate")] == ["{}"]

    def test_apply_fails_and_keeps_a_state_that_still_cannot_be_stored(
        self, make_terraform: Callable[..., Terraform]
    ) -> None:
        stack = make_terraform(
            "sys.exit('Error acquiring the state lock' if sys.argv[1] == 'state' else 0)"
        )
        (stack.directory / "errored.tfstate").write_text("{}")
        with pytest.raises(TerraformError, match="acquiring the state lock"):
            stack.apply()
        assert (stack.directory / "errored.tfstate").read_text() == "{}"
        assert len((stack.directory / "calls").read_text().splitlines()) == 1


class TestInit:
    BODY = "pathlib.Path('.terraform.lock.hcl').touch()"

    def test_init_runs_once_per_configuration(
        self, make_terraform: Callable[..., Terraform]
    ) -> None:
        stack = make_terraform(self.BODY)
        assert [stack.init(), stack.init()] == [True, False]

    def test_init_runs_again_for_another_backend(
        self, make_terraform: Callable[..., Terraform]
    ) -> None:
        stack = make_terraform(self.BODY)
        stack.init()
        (stack.directory / "cdk.tf.json").write_text(
            json.dumps({"terraform": {"backend": {"s3": {"bucket": "two"}}}})
        )
        assert stack.init()

    def test_init_does_not_run_again_for_other_resources(
        self, make_terraform: Callable[..., Terraform]
    ) -> None:
        stack = make_terraform(self.BODY)
        stack.init()
        text = json.loads((stack.directory / "cdk.tf.json").read_text())
        (stack.directory / "cdk.tf.json").write_text(
            json.dumps({**text, "resource": {"aws_sns_topic": {}}})
        )
        assert not stack.init()

    def test_failed_init_is_reported_and_retried(
        self, make_terraform: Callable[..., Terraform]
    ) -> None:
        stack = make_terraform("print('no provider', file=sys.stderr); sys.exit(1)")
        for _ in range(2):
            with pytest.raises(TerraformError, match="no provider"):
                stack.init()
