"""Tests the checks of the hosted zone, its delegation and the certificates."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import boto3
import pytest
from urllib3.exceptions import HTTPError

from ops.cloud import Cloud
from ops.doctor.dns import resolve
from ops.doctor.domains import check_certificates, check_zone
from ops.doctor.result import Result
from tests.ops.clouds import FakeCloud, stubbed_client

ZONE = "multitask.com"


class Zone:
    """A hosted zone on moto, and the public records of its domain."""

    def __init__(self, cloud: Cloud, name: str = ZONE, private: bool = False) -> None:
        route53 = boto3.client("route53")
        vpc = {"VPC": {"VPCRegion": "us-east-1", "VPCId": "vpc-1"}} if private else {}
        zone = route53.create_hosted_zone(
            Name=name, CallerReference=name, HostedZoneConfig={"PrivateZone": private}, **vpc
        )
        self.servers = zone.get("DelegationSet", {}).get("NameServers", [])
        self.records = {"NS": [f"{server}." for server in self.servers], "CAA": []}
        zone_id = zone["HostedZone"]["Id"].rpartition("/")[2]
        self.cloud = Cloud(cloud.environment.model_copy(update={"hosted_zone_id": zone_id}), {})

    def check(self) -> list[Result]:
        return list(check_zone(self.cloud, lambda _, type_: self.records[type_]))


def statuses(results: list[Result]) -> list[str]:
    return [result.status for result in results]


def test_zone_that_is_delegated_is_ok(cloud: Cloud) -> None:
    assert statuses(Zone(cloud).check()) == ["ok"]


def test_zone_that_is_not_delegated_fails_and_the_remedy_lists_its_name_servers(
    cloud: Cloud,
) -> None:
    zone = Zone(cloud)
    for records in ([], ["ns1.registrar.example."]):
        zone.records["NS"] = records
        [result] = zone.check()
        assert result.status == "failure"
        assert all(server.rstrip(".") in result.remedy for server in zone.servers)


def test_additional_name_servers_cause_a_warning(cloud: Cloud) -> None:
    zone = Zone(cloud)
    zone.records["NS"].append("ns1.registrar.example.")
    [result] = zone.check()
    assert (result.status, "ns1.registrar.example" in result.detail) == ("warning", True)


def test_zone_that_is_missing_private_or_of_another_domain_fails(cloud: Cloud) -> None:
    environment = cloud.environment.model_copy(update={"hosted_zone_id": "Z0MISSING"})
    [result] = check_zone(Cloud(environment, {}), lambda *_: [])
    assert (result.status, result.detail) == ("failure", "the account has no hosted zone Z0MISSING")
    [result] = Zone(cloud, private=True).check()
    assert (result.status, "is private" in result.detail) == ("failure", True)
    assert statuses(Zone(cloud, "example.com").check()) == ["failure", "ok"]


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ('0 issue "amazon.com"', ["ok"]),
        ('0 issue "letsencrypt.org"', ["ok", "failure"]),
        ('0 iodef "mailto:a@example.com"', ["ok"]),
    ],
)
def test_caa_records_must_allow_amazon(cloud: Cloud, record: str, expected: list[str]) -> None:
    zone = Zone(cloud)
    zone.records["CAA"] = [record]
    assert statuses(zone.check()) == expected


def test_environment_without_domains_needs_no_zone_and_no_certificate(cloud: Cloud) -> None:
    without_domains = Cloud(cloud.environment.model_copy(update={"domains": None}), {})
    assert statuses([*check_zone(without_domains), *check_certificates(without_domains)]) == [
        "ok",
        "ok",
    ]


def test_missing_certificates_are_ok_because_the_deployment_requests_them(cloud: Cloud) -> None:
    assert statuses(list(check_certificates(cloud))) == ["ok"] * 3


@pytest.mark.parametrize(
    ("status", "expected"),
    [("ISSUED", "ok"), ("PENDING_VALIDATION", "warning"), ("FAILED", "failure")],
)
def test_certificate_that_is_not_issued_is_reported(
    cloud: Cloud, status: str, expected: str
) -> None:
    assert cloud.environment.domains
    arn, name = "arn:aws:acm:us-east-1:123456789012:certificate/1", cloud.environment.domains.api
    listed = {"CertificateSummaryList": [{"CertificateArn": arn, "DomainName": name}]}
    certificate = {"CertificateArn": arn, "Status": status, "FailureReason": "CAA_ERROR"}
    acm = stubbed_client(
        "acm",
        ("list_certificates", listed),
        ("describe_certificate", {"Certificate": certificate}),
        ("list_certificates", {"CertificateSummaryList": []}),
        ("list_certificates", {"CertificateSummaryList": []}),
    )
    results = list(check_certificates(FakeCloud(cloud.environment, {}, clients={"acm": acm})))
    assert statuses(results) == [expected, "ok", "ok"]


@pytest.fixture
def resolver() -> Iterator[tuple[str, list[int]]]:
    """Yields the address of a fake of Google Public DNS's JSON API.

    Also yields a list with one element: the HTTP status of the responses.
    """
    statuses = [200]
    records = {
        "Status": 0,
        "Answer": [
            {"name": f"{ZONE}.", "type": 2, "TTL": 60, "data": "ns-1.awsdns-1.com."},
            {"name": f"{ZONE}.", "type": 5, "TTL": 60, "data": "an alias"},
        ],
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path == f"/resolve?name={ZONE}&type=NS"
            self.send_response(statuses[0])
            self.end_headers()
            self.wfile.write(json.dumps(records).encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/resolve", statuses
        server.shutdown()


def test_resolver_returns_records_of_the_requested_type(
    resolver: tuple[str, list[int]],
) -> None:
    url, statuses = resolver
    assert resolve(ZONE, "NS", url) == ["ns-1.awsdns-1.com."]
    statuses[0] = 500
    with pytest.raises(HTTPError, match="returned 500"):
        resolve(ZONE, "NS", url)
