from __future__ import annotations

import pytest
from cdktf import TerraformStack
from cdktf_cdktf_provider_aws.provider import AwsProvider

from environments import Environment
from modules.base.certificate import Certificate
from modules.base.naming import Names
from tests.modules.synthesis import Synthesized, synthesize


def _build(stack: TerraformStack, env: Environment, names: Names) -> None:
    Certificate(
        stack,
        "c",
        domain_names=["multitask.com", "www.multitask.com"],
        hosted_zone_id="Z123456",
        provider=AwsProvider(stack, "edge", alias="edge", region="us-east-1"),
    )


@pytest.fixture(scope="module")
def certificate() -> Synthesized:
    return synthesize(_build)


def test_a_certificate_covers_all_names_and_is_replaced_before_it_is_destroyed(
    certificate: Synthesized,
) -> None:
    result = certificate.find_only("aws_acm_certificate")
    assert result["domain_name"] == "multitask.com"
    assert result["subject_alternative_names"] == ["www.multitask.com"]
    assert result["validation_method"] == "DNS"
    assert result["lifecycle"]["create_before_destroy"] is True


def test_each_name_is_validated_by_its_own_record(certificate: Synthesized) -> None:
    records = certificate.all("aws_route53_record")
    assert len(records) == 2
    for record, name in zip(records, ["multitask.com", "www.multitask.com"], strict=True):
        assert record["zone_id"] == "Z123456"
        assert f'option.domain_name == "{name}"' in record["name"]
    assert (
        len(certificate.find_only("aws_acm_certificate_validation")["validation_record_fqdns"]) == 2
    )


def test_only_the_certificate_and_its_validation_use_the_given_provider(
    certificate: Synthesized,
) -> None:
    assert certificate.find_only("aws_acm_certificate")["provider"] == "aws.edge"
    assert certificate.find_only("aws_acm_certificate_validation")["provider"] == "aws.edge"
    assert all("provider" not in record for record in certificate.all("aws_route53_record"))
