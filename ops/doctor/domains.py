"""Checks the hosted zone and the certificates of the custom domains."""

from __future__ import annotations

from collections.abc import Iterator

from botocore.exceptions import ClientError

from environments import Domains
from environments.resource_names import GLOBAL_REGION
from ops.cloud import Cloud
from ops.doctor.dns import Resolve, resolve
from ops.doctor.result import Result, failure, ok, warning

AUTHORITIES = ("amazon.com", "amazontrust.com", "awstrust.com", "amazonaws.com")
"""CAA record values that allow ACM to issue certificates.

Source: ACM user guide, "Configure a CAA record".
"""
NO_DOMAINS = "the environment has no custom domains"


def check_zone(cloud: Cloud, resolve: Resolve = resolve) -> Iterator[Result]:
    """Checks that the hosted zone exists, contains all domains and is delegated."""
    environment = cloud.environment
    domains, zone_id = environment.domains, environment.hosted_zone_id
    if domains is None or zone_id is None:
        yield ok(NO_DOMAINS)
        return
    try:
        response = cloud.client("route53").get_hosted_zone(Id=zone_id)
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchHostedZone":
            raise
        yield failure(
            f"the account has no hosted zone {zone_id}",
            "create a public zone in Route 53 and set hosted_zone_id to its id",
        )
        return
    zone = response["HostedZone"]["Name"].rstrip(".")
    if response["HostedZone"].get("Config", {}).get("PrivateZone"):
        yield failure(f"the zone {zone} is private", "set hosted_zone_id to a public zone")
        return
    outside = [name for name in _names(domains) if name != zone and not name.endswith(f".{zone}")]
    if outside:
        yield failure(
            f"{', '.join(outside)} are not in the zone {zone}",
            "correct domains or hosted_zone_id in the environment file",
        )
    yield _delegation(zone, response["DelegationSet"]["NameServers"], resolve(zone, "NS"))
    issuers = [record for record in resolve(zone, "CAA") if " issue " in record]
    if issuers and not any(name in record for record in issuers for name in AUTHORITIES):
        yield failure(
            f"the CAA records of {zone} do not allow Amazon to issue certificates",
            'add a CAA record with 0 issue "amazon.com"',
        )


def _delegation(zone: str, servers: list[str], delegated: list[str]) -> Result:
    wanted = {server.rstrip(".").lower() for server in servers}
    present = {server.rstrip(".").lower() for server in delegated}
    remedy = f"at the registrar of {zone}, set the name servers {', '.join(sorted(wanted))}"
    if present == wanted:
        return ok(f"{zone} exists and is delegated")
    if present & wanted:
        return warning(f"{zone} is also delegated to {', '.join(sorted(present - wanted))}", remedy)
    actual = ", ".join(sorted(present)) or "no name server"
    return failure(f"{zone} is delegated to {actual}, so certificates cannot be validated", remedy)


def check_certificates(cloud: Cloud) -> Iterator[Result]:
    """Checks that no earlier request for a certificate of the custom domains has failed."""
    domains = cloud.environment.domains
    if domains is None:
        yield ok(NO_DOMAINS)
        return
    for name, region in (
        (domains.api, GLOBAL_REGION),
        (domains.site, GLOBAL_REGION),
        (domains.websocket, cloud.environment.region),
    ):
        yield _certificate(cloud, name, region)


def _certificate(cloud: Cloud, name: str, region: str) -> Result:
    acm = cloud.client("acm", region)
    certificates = [
        acm.describe_certificate(CertificateArn=summary["CertificateArn"])["Certificate"]
        for page in acm.get_paginator("list_certificates").paginate()
        for summary in page["CertificateSummaryList"]
        if summary["DomainName"] == name
    ]
    states = {certificate["Status"]: certificate for certificate in certificates}
    if not states:
        return ok(f"{name}: no certificate yet, the deployment requests one")
    if "ISSUED" in states:
        return ok(f"{name}: issued")
    if "PENDING_VALIDATION" in states:
        return warning(
            f"{name}: the certificate waits for its validation record",
            "deploy, which creates the record; if the certificate stays pending, check the name"
            " servers of the domain",
        )
    status, certificate = next(iter(states.items()))
    return failure(
        f"{name}: {status} {certificate.get('FailureReason', '')}".rstrip(),
        f"correct the cause, then delete {certificate['CertificateArn']}",
    )


def _names(domains: Domains) -> list[str]:
    return [domains.api, domains.websocket, domains.cdn, domains.site, *domains.site_aliases]
