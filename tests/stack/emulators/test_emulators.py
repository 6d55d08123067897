"""Applies prod's stack to moto, which shares no code with the embedded AWS.

moto has more services than the embedded AWS, so the stack has prod's settings, tables whose
capacity scales, and all capabilities. Every error of the apply, and every difference of the plan
after it, must be in findings.yml.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from ops.cloud import embedded_variables
from ops.embedded import Addresses
from ops.root import Root
from tests.ops.review.small import Block, write
from tests.stack.conftest import ACCOUNT
from tests.stack.emulators.emulated_apply import apply_and_plan, prepare
from tests.stack.emulators.findings import FINDINGS, compare
from tests.stack.emulators.moto_server import running_moto
from tests.stack.emulators.probes import accepted_calls, create_client
from tests.stack.stacks import REPOSITORY, read_settings, synthesize_variants

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(3600)]

REVIEWED = FINDINGS["moto"]
ENVIRONMENT = "emulated"


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    with running_moto(ACCOUNT, tmp_path_factory.mktemp("moto") / "server.log") as variables:
        yield variables


def test_findings_yml_lists_every_error_and_difference_of_the_emulator(
    tmp_path: Path, root: Root, moto: Mapping[str, str]
) -> None:
    program = tmp_path / "program"
    program.mkdir()
    stacks = synthesize_variants(program, {ENVIRONMENT: emulated_settings(moto)}, moto)
    directory = tmp_path / "stack"
    document = prepare(
        stacks / ENVIRONMENT,
        directory,
        without=REVIEWED["arguments"],
        replacements={type_: entry["value"] for type_, entry in REVIEWED["replacements"].items()},
    )
    result = apply_and_plan(directory, document, root, moto)
    print(f"{result.read_back} of {result.resources} resources were applied and read back")
    problems = compare(result, REVIEWED)
    assert not problems, "\n".join(problems)


def test_emulators_accept_exactly_the_listed_calls(
    moto: Mapping[str, str], empty_cloud: Addresses
) -> None:
    both = FINDINGS["both"]["accepted"].keys()
    assert accepted_calls(moto) == both
    assert accepted_calls(embedded_variables(empty_cloud)) == (
        both | FINDINGS["ministack"]["accepted"].keys()
    )


def emulated_settings(variables: Mapping[str, str]) -> Block:
    """Creates a hosted zone in the emulator, and returns prod's settings with this zone."""
    settings = read_settings("prod")
    zone = ""
    while not zone.startswith("Z"):
        # The ids of zones on AWS begin with Z, those in moto with any character.
        created = create_client("route53", variables).create_hosted_zone(
            Name=settings["domains"]["site"], CallerReference=f"after {zone}"
        )
        zone = created["HostedZone"]["Id"].rpartition("/")[2]
    del settings["promoted_from"]
    settings["dynamodb"]["billing_mode"] = "PROVISIONED"
    return settings | {
        "allowed_account_ids": [ACCOUNT],
        "endpoints": read_settings("local")["endpoints"],
        "hosted_zone_id": zone,
        "alert_email": "alerts@example.com",
        "billing_email": "billing@example.com",
        "bucket_suffix": "emulated",
        "github_repository": REPOSITORY,
    }


def test_a_mock_integration_with_an_http_method_is_reported_as_a_difference(
    tmp_path: Path, root: Root, moto: Mapping[str, str]
) -> None:
    """Applies a mock integration with an HTTP method.

    API Gateway does not return this method, so every plan adds it again.
    """
    document = mock_integration(integration_http_method="POST")
    directory = write(document, tmp_path / "planted")
    problems = compare(
        apply_and_plan(directory, document, root, moto), {"errors": {}, "differences": {}}
    )
    assert len(problems) == 1
    assert "integration_http_method: '' -> 'POST'" in problems[0]


def mock_integration(**arguments: str) -> Block:
    """Returns a stack with an API and a mock integration."""
    api = {"rest_api_id": "${aws_api_gateway_rest_api.api.id}"}
    method = {
        **api,
        "resource_id": "${aws_api_gateway_rest_api.api.root_resource_id}",
        "http_method": "GET",
    }
    integration = {
        **method,
        "http_method": "${aws_api_gateway_method.method.http_method}",
        "type": "MOCK",
        **arguments,
    }
    return {
        "terraform": {
            "required_providers": {"aws": {"source": "hashicorp/aws"}},
            "backend": {"local": {"path": "terraform.tfstate"}},
        },
        "provider": {"aws": [{"max_retries": 1}]},
        "resource": {
            "aws_api_gateway_rest_api": {"api": {"name": "planted"}},
            "aws_api_gateway_method": {"method": {**method, "authorization": "NONE"}},
            "aws_api_gateway_integration": {"integration": integration},
        },
    }
