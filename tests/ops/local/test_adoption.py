"""Tests that an apply adopts existing resources that are missing in Terraform's state."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from bench.chaos.changes import Changes
from ops.embedded.services import ACCESS_KEY, SECRET_KEY
from ops.local.consistency import StateConsistency
from ops.root import PROJECT, write_json
from ops.terraform.adoption import adopt, created_ids, end_adoption, import_id
from ops.terraform.lookups import find_id
from ops.terraform.runner import (
    PlanFile,
    Terraform,
    TerraformError,
    TerraformKilledError,
    last_run,
)
from ops.terraform.toolchain import terraform, terraform_variables
from tests.ops.embedded.servers import Server, running_server
from tests.waiting import wait_for

TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}
READ_OBJECTS = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}],
}


def table(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "billing_mode": "PAY_PER_REQUEST",
        "hash_key": "id",
        "attribute": [{"name": "id", "type": "S"}],
    }


REVIEWED: dict[str, Any] = yaml.safe_load(
    (PROJECT / "tests" / "stack" / "adoption.yml").read_text()
)
RESOURCES: dict[str, dict[str, Any]] = {
    "aws_dynamodb_table": {"items": table("items"), "others": table("others")},
    "aws_iam_role": {"role": {"name": "role", "assume_role_policy": json.dumps(TRUST)}},
    "aws_iam_policy": {"policy": {"name": "policy", "policy": json.dumps(READ_OBJECTS)}},
    "aws_cloudwatch_log_group": {"group": {"name": "group"}},
    "aws_cloudwatch_event_bus": {"bus": {"name": "bus"}},
    "aws_s3_bucket": {"bucket": {"bucket": "adopted"}},
}


@pytest.fixture
def server() -> Iterator[Server]:
    with running_server() as result:
        yield result


@pytest.fixture
def stack(server: Server) -> Terraform:
    return create_stack(server, RESOURCES)


def create_stack(
    server: Server,
    resources: dict[str, dict[str, Any]],
    guard: Callable[[], str | None] = lambda: None,
) -> Terraform:
    """Writes and initializes a stack whose state is a local file."""
    directory = server.root.cdktf_out / "stacks" / "local"
    directory.mkdir(parents=True)
    endpoint = f"https://127.0.0.1:{server.port}"
    provider = {"region": "us-east-1", "s3_use_path_style": True}
    write_json(
        directory / "cdk.tf.json",
        {
            "terraform": {
                "required_providers": {"aws": {"source": "hashicorp/aws", "version": "5.100.0"}}
            },
            "provider": {"aws": [provider]},
            "resource": resources,
        },
    )
    variables = {
        **terraform_variables(server.root),
        "PATH": os.environ["PATH"],
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_CA_BUNDLE": server.authority,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
    }
    result = Terraform(terraform(server.root), directory, variables, log(server), guard)
    result.init()
    return result


def log(server: Server) -> Path:
    return server.root.logs / "terraform.jsonl"


def test_after_a_lost_state_the_next_apply_adopts_all_resources_with_their_data(
    server: Server, stack: Terraform, capsys: pytest.CaptureFixture[str]
) -> None:
    stack.apply()
    created = created_ids(log(server))
    items = server.client("dynamodb")
    items.put_item(TableName="items", Item={"id": {"S": "mine"}})
    # A killed apply that could not store its state has the same effect.
    (stack.directory / "terraform.tfstate").unlink()
    write_json(server.root.path / "fit.json", {"doubtful": True, "applied": True})

    def refuse_reset() -> Path:
        raise AssertionError

    consistency = StateConsistency(server.root, stack.directory, refuse_reset)
    consistency.check()
    consistency.run(
        lambda: consistency.apply(stack.apply),
        lambda existing, absent: adopt(stack, existing, created, absent=absent),
    )
    end_adoption(stack.directory)
    assert "Adopting resources that an earlier apply created: " in capsys.readouterr().err
    assert items.get_item(TableName="items", Key={"id": {"S": "mine"}})["Item"]
    state = json.loads((stack.directory / "terraform.tfstate").read_text())
    assert {resource["type"] for resource in state["resources"]} == RESOURCES.keys()
    with stack.temporary_plan("second") as plan:
        assert plan.counts == {"add": 0, "change": 0, "remove": 0}


def replaceable_resources() -> dict[str, dict[str, Any]]:
    """Returns one resource of each type in `REVIEWED["replaceable"]`.

    Also returns the resources to which these refer.
    """
    bucket = {"bucket": "${aws_s3_bucket.b.id}"}
    rule = {"security_group_id": "${aws_security_group.g.id}", "ip_protocol": "-1"}
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::000000000000:root"},
        "Action": "s3:GetObject",
        "Resource": "arn:aws:s3:::replaceable/*",
    }
    visibility = {"sampled_requests_enabled": False, "cloudwatch_metrics_enabled": False}
    encryption = {"apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}}
    resources: dict[str, dict[str, Any]] = {
        "aws_vpc": {"cidr_block": "10.0.0.0/16"},
        "aws_security_group": {"name": "g", "vpc_id": "${aws_vpc.b.id}"},
        "aws_s3_bucket": {"bucket": "replaceable"},
        "aws_iam_role": {"name": "replaceable", "assume_role_policy": json.dumps(TRUST)},
        "aws_sqs_queue": {"name": "replaceable"},
        "aws_cloudwatch_log_group": {"name": "aws-waf-logs-replaceable"},
        "aws_wafv2_web_acl": {
            "name": "replaceable",
            "scope": "REGIONAL",
            "default_action": {"allow": {}},
            "visibility_config": {**visibility, "metric_name": "m"},
        },
    }
    resources = {type_: {"b": values} for type_, values in resources.items()}
    resources["aws_security_group"] = {"g": resources["aws_security_group"]["b"]}
    replaceable = {
        "aws_cloudwatch_dashboard": {"dashboard_name": "d", "dashboard_body": '{"widgets":[]}'},
        "aws_cloudwatch_metric_alarm": {
            "alarm_name": "a",
            "comparison_operator": "GreaterThanThreshold",
            "evaluation_periods": 1,
            "metric_name": "m",
            "namespace": "n",
            "period": 60,
            "statistic": "Sum",
            "threshold": 1,
        },
        "aws_default_security_group": {"vpc_id": "${aws_vpc.b.id}"},
        "aws_iam_role_policy": {
            "name": "p",
            "role": "${aws_iam_role.b.id}",
            "policy": json.dumps(READ_OBJECTS),
        },
        "aws_lambda_function_event_invoke_config": {
            "function_name": "replaceable",
            "maximum_retry_attempts": 1,
        },
        "aws_s3_bucket_cors_configuration": {
            **bucket,
            "cors_rule": [{"allowed_methods": ["GET"], "allowed_origins": ["*"]}],
        },
        "aws_s3_bucket_lifecycle_configuration": {
            **bucket,
            "rule": [{"id": "r", "status": "Enabled", "filter": {}, "expiration": {"days": 1}}],
        },
        "aws_s3_bucket_logging": {**bucket, "target_bucket": "adopted", "target_prefix": "l/"},
        "aws_s3_bucket_ownership_controls": {
            **bucket,
            "rule": {"object_ownership": "BucketOwnerEnforced"},
        },
        "aws_s3_bucket_policy": {
            **bucket,
            "policy": json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
        },
        "aws_s3_bucket_public_access_block": {**bucket, "block_public_acls": True},
        "aws_s3_bucket_server_side_encryption_configuration": {**bucket, "rule": [encryption]},
        "aws_s3_bucket_versioning": {
            **bucket,
            "versioning_configuration": {"status": "Enabled"},
        },
        "aws_sns_topic": {"name": "t"},
        "aws_sns_topic_subscription": {
            "topic_arn": "${aws_sns_topic.r.arn}",
            "protocol": "sqs",
            "endpoint": "${aws_sqs_queue.b.arn}",
        },
        "aws_vpc_security_group_egress_rule": {**rule, "cidr_ipv4": "10.0.0.0/16"},
        "aws_vpc_security_group_ingress_rule": {**rule, "cidr_ipv4": "10.0.0.0/16"},
        "aws_wafv2_web_acl_logging_configuration": {
            "resource_arn": "${aws_wafv2_web_acl.b.arn}",
            "log_destination_configs": ["${aws_cloudwatch_log_group.b.arn}"],
        },
    }
    assert replaceable.keys() == set(REVIEWED["replaceable"])
    return resources | {type_: {"r": values} for type_, values in replaceable.items()}


@pytest.mark.nightly
@pytest.mark.timeout(1800)
def test_replaceable_resources_that_the_state_lacks_are_created_again_without_duplicates(
    server: Server, stack: Terraform
) -> None:
    role = server.client("iam").create_role(RoleName="f", AssumeRolePolicyDocument="{}")["Role"]
    server.client("lambda").create_function(
        FunctionName="replaceable",
        Runtime="python3.12",
        Handler="m.handler",
        Role=role["Arn"],
        Code={"ZipFile": b"PK\x05\x06" + bytes(18)},
    )
    server.client("s3").create_bucket(Bucket="adopted")
    configuration = json.loads((stack.directory / "cdk.tf.json").read_text())
    configuration["resource"] = replaceable_resources()
    write_json(stack.directory / "cdk.tf.json", configuration)
    stack.apply()
    file = stack.directory / "terraform.tfstate"
    state = json.loads(file.read_text())
    before = count_resources(server)
    remaining = [item for item in state["resources"] if item["type"] not in REVIEWED["replaceable"]]
    write_json(file, {**state, "resources": remaining})
    write_json(server.root.path / "fit.json", {"doubtful": True, "applied": True})
    consistency = StateConsistency(server.root, stack.directory, lambda: Path("unused"))
    consistency.run(
        lambda: consistency.apply(stack.apply),
        lambda existing, absent: adopt(
            stack, existing, {}, partial(find_id, server.client), absent=absent
        ),
    )
    assert count_resources(server) == before
    state = json.loads(file.read_text())
    assert {item["type"] for item in state["resources"]} == replaceable_resources().keys()


def count_resources(server: Server) -> dict[str, int]:
    """Returns the number of resources by type, for types that allow duplicates."""
    rules = server.client("ec2").describe_security_group_rules()["SecurityGroupRules"]
    sns = server.client("sns")
    return {
        "rules": len(rules),
        "topics": len(sns.list_topics()["Topics"]),
        "subscriptions": len(sns.list_subscriptions()["Subscriptions"]),
    }


def store_state_in_s3(server: Server, stack: Terraform) -> None:
    """Stores the state in S3, as `ops up` does.

    If Terraform is killed, a state file on the local disk can be truncated.
    """
    server.client("s3").create_bucket(Bucket="state")
    s3 = {"bucket": "state", "key": "state", "region": "us-east-1", "use_path_style": True}
    checks = ("skip_credentials_validation", "skip_requesting_account_id", "skip_s3_checksum")
    backend = {"s3": {**s3, **dict.fromkeys(checks, True)}}
    write_json(stack.directory / "backend.tf.json", {"terraform": {"backend": backend}})
    (stack.directory / ".terraform" / "initialized").unlink()
    stack.init()


@pytest.mark.nightly
@pytest.mark.timeout(1800)
def test_an_apply_that_was_killed_while_it_added_changed_or_removed_resources_is_completed(
    server: Server, stack: Terraform
) -> None:
    store_state_in_s3(server, stack)
    changes = Changes(server.root, server.client)
    changes.next()
    stack.apply()
    items = server.client("dynamodb")
    items.put_item(TableName="items", Item={"id": {"S": "mine"}})
    for action in ("create", "update", "delete"):
        changes.next()
        with ThreadPoolExecutor() as threads:
            killed = threads.submit(kill_terraform_at, stack, log(server), action)
            with pytest.raises(TerraformKilledError):
                stack.apply()
            killed.result()
        repair(server, stack)
        assert changes.differences() == [], action
    assert items.get_item(TableName="items", Key={"id": {"S": "mine"}})["Item"]
    with stack.temporary_plan("second") as plan:
        assert plan.counts == {"add": 0, "change": 0, "remove": 0}


def repair(server: Server, stack: Terraform) -> None:
    """Adopts the resources that the killed apply created, and then applies the stack.

    An `ops up` does this after another `ops up` was killed.
    """
    created = created_ids(log(server))
    adopt(stack, created, created, partial(find_id, server.client), trusts_log=True)
    write_json(server.root.path / "fit.json", {"doubtful": True, "applied": True})
    consistency = StateConsistency(server.root, stack.directory, lambda: Path("unused"))
    consistency.run(
        lambda: consistency.apply(stack.apply),
        lambda existing, absent: adopt(stack, existing, created, absent=absent),
    )
    end_adoption(stack.directory)


def kill_terraform_at(stack: Terraform, log: Path, action: str) -> None:
    """Kills Terraform when it begins an action such as `create`."""
    earlier = log.stat().st_mtime_ns

    def has_begun() -> bool:
        if log.stat().st_mtime_ns == earlier:
            return False
        return f'"action":"{action}"' in "".join(
            line for line in log.read_text().splitlines() if '"type":"apply_start"' in line
        )

    wait_for(has_begun, seconds=300, interval=0.005)
    run = last_run(stack.directory)
    process = run.find() if run else None
    assert process
    process.kill()


@pytest.mark.parametrize(
    ("kind", "values", "logged", "expected"),
    [
        ("aws_dynamodb_table", {"name": "items"}, None, "items"),
        ("aws_iam_policy", {"name": "p"}, None, "arn:aws:iam::000000000000:policy/p"),
        ("aws_vpc", {"cidr_block": "10.0.0.0/16"}, "vpc-1", "vpc-1"),
        ("aws_vpc", {"cidr_block": "10.0.0.0/16"}, None, None),
        ("aws_lambda_permission", {"function_name": "f", "qualifier": "q"}, "s", "f:q/s"),
        ("aws_api_gateway_resource", {"rest_api_id": "a"}, "r", "a/r"),
        ("aws_api_gateway_resource", {"rest_api_id": "a"}, None, None),
    ],
)
def test_import_ids_come_from_planned_values_and_the_log(
    kind: str, values: dict[str, Any], logged: str | None, expected: str | None
) -> None:
    assert import_id(kind, values, logged) == expected


class FakeStack:
    """A stack that counts its plans. `absent` has the addresses that Terraform cannot import."""

    def __init__(self, directory: Path, resources: dict[str, Any]) -> None:
        self.directory = directory
        self.absent: set[str] = set()
        self.plans = self.shows = 0
        write_json(directory / "cdk.tf.json", {"resource": resources})

    @contextmanager
    def temporary_plan(self, _name: str, _options: Sequence[str]) -> Iterator[PlanFile]:
        self.plans += 1
        failed_imports = self.absent & imports(self.directory).keys()
        if failed_imports:
            raise TerraformError("absent", absent=failed_imports)
        yield PlanFile(self.directory / "plan", {}, {})

    def show(self, _file: Path) -> dict[str, Any]:
        self.shows += 1
        change = {"actions": ["create"], "after": {"function_name": "f", "name": "live"}}
        alias = {"address": "aws_lambda_alias.a", "type": "aws_lambda_alias", "change": change}
        return {"resource_changes": [alias]}


def imports(directory: Path) -> dict[str, str]:
    file = directory / "adopted.tf.json"
    blocks = json.loads(file.read_text())["import"] if file.exists() else []
    return {block["to"]: block["id"] for block in blocks}


ALIAS = {"a": {"function_name": "${aws_lambda_function.f.function_name}", "name": "live"}}
ADOPTABLE = {"aws_sqs_queue": {"q": {"name": "q"}}, "aws_iam_role": {"r": {"name": "r"}}}


@pytest.mark.parametrize(
    ("created", "trusts_log", "absent", "expected", "plans"),
    [
        # Terraform logged both ids, and the embedded AWS has lost no change since then.
        ({"aws_sqs_queue.q": "url", "aws_iam_role.r": "r"}, True, set(), {"q", "r"}, 0),
        # The embedded AWS may have lost a resource whose id is in the log.
        ({"aws_sqs_queue.q": "url", "aws_iam_role.r": "r"}, False, {"aws_iam_role.r"}, {"q"}, 2),
        # Terraform was killed before it logged the role's id.
        ({"aws_sqs_queue.q": "url", "aws_iam_role.r": ""}, True, {"aws_iam_role.r"}, {"q"}, 1),
        ({"aws_iam_role.r": ""}, True, set(), {"r"}, 1),
        ({"aws_iam_role.r": ""}, True, {"aws_iam_role.r"}, set(), 1),
    ],
)
def test_an_adoption_runs_terraform_only_if_a_resource_might_be_missing(
    tmp_path: Path,
    created: dict[str, str],
    trusts_log: bool,
    absent: set[str],
    expected: set[str],
    plans: int,
) -> None:
    fake = FakeStack(tmp_path, ADOPTABLE)
    fake.absent = absent
    adopted = adopt(cast("Terraform", fake), created, created, trusts_log=trusts_log)
    names = {address.rpartition(".")[2] for address in adopted}
    assert (names, fake.plans, fake.shows) == (expected, plans, 0)
    assert imports(tmp_path).keys() == set(adopted)


def test_a_lookup_decides_whether_a_resource_exists(tmp_path: Path) -> None:
    fake = FakeStack(tmp_path, ADOPTABLE)
    created = {"aws_sqs_queue.q": "", "aws_iam_role.r": ""}
    ids = {"aws_sqs_queue": "url", "aws_iam_role": ""}
    adopt(cast("Terraform", fake), created, created, lambda kind, _: ids[kind])
    assert imports(tmp_path) == {"aws_sqs_queue.q": "url"}
    assert fake.plans == 0


def test_resources_that_no_log_contains_are_adopted_if_a_lookup_finds_them(tmp_path: Path) -> None:
    policies = {"aws_iam_policy": {"p": {"name": "p"}}}
    fake = FakeStack(tmp_path, {**ADOPTABLE, **policies})
    ids = {"aws_sqs_queue": "url", "aws_iam_role": "", "aws_iam_policy": None}
    possible = {"aws_sqs_queue.q", "aws_iam_role.r", "aws_iam_policy.p"}
    adopt(cast("Terraform", fake), (), {}, lambda kind, _: ids[kind], possible=possible)
    assert imports(tmp_path) == {"aws_sqs_queue.q": "url"}
    assert fake.plans == 0


def test_a_plan_is_made_if_an_import_id_needs_values_of_other_resources(tmp_path: Path) -> None:
    fake = FakeStack(tmp_path, {**ADOPTABLE, "aws_lambda_alias": ALIAS})
    created = {"aws_lambda_alias.a": "arn", "aws_iam_role.r": "r"}
    adopt(cast("Terraform", fake), created, created, trusts_log=True)
    assert imports(tmp_path) == {"aws_iam_role.r": "r", "aws_lambda_alias.a": "f/live"}
    assert (fake.plans, fake.shows) == (1, 1)


def test_resources_that_the_apply_could_not_import_are_not_imported_again(tmp_path: Path) -> None:
    fake = FakeStack(tmp_path, ADOPTABLE)
    created = {"aws_sqs_queue.q": "url", "aws_iam_role.r": "r"}
    adopt(cast("Terraform", fake), created, created, trusts_log=True)
    adopt(cast("Terraform", fake), (), created, absent={"aws_iam_role.r"})
    assert imports(tmp_path) == {"aws_sqs_queue.q": "url"}


def test_the_ids_of_created_resources_are_read_from_a_log(tmp_path: Path) -> None:
    file = tmp_path / "log"
    assert created_ids(file) == {}
    hooks = [
        ("apply_start", "create", "a", ""),
        ("apply_complete", "create", "a", "1"),
        ("apply_complete", "update", "b", "2"),
        ("apply_start", "create", "begun", ""),
        ("apply_complete", "create", "deleted", "3"),
        ("apply_start", "delete", "a", "1"),
        ("apply_complete", "delete", "deleted", ""),
        ("apply_complete", "create", "kept", "4"),
    ]
    lines = [
        {
            "type": event,
            "hook": {"resource": {"addr": address}, "action": action, "id_value": value},
        }
        for event, action, address, value in hooks
    ]
    file.write_text("\n".join([*map(json.dumps, lines), "no JSON", "3"]))
    assert created_ids(file) == {"a": "", "begun": "", "kept": "4"}


def test_damaged_files_of_terraform_are_replaced(stack: Terraform) -> None:
    stack.apply()
    for file in (".terraform/terraform.tfstate", ".terraform.lock.hcl"):
        (stack.directory / file).write_text('{"version')
    assert stack.init()
    assert not stack.init()
    assert stack.apply().counts == {"add": 0, "change": 0, "remove": 0}
