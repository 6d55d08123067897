"""DNS records that point a domain name of the platform at an AWS endpoint."""

from __future__ import annotations

from cdktf_cdktf_provider_aws.route53_record import Route53Record, Route53RecordAlias
from constructs import Construct


class AliasRecords(Construct):
    """The A and AAAA alias records of one domain name.

    Args:
        hosted_zone_id: The zone for the records.
        domain_name: The domain name of the platform.
        target: The domain name that AWS has given the endpoint.
        target_zone_id: The hosted zone of `target`.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        hosted_zone_id: str,
        domain_name: str,
        target: str,
        target_zone_id: str,
    ) -> None:
        super().__init__(scope, id_)
        for type_ in ("A", "AAAA"):
            Route53Record(
                self,
                type_.lower(),
                zone_id=hosted_zone_id,
                name=domain_name,
                type=type_,
                alias=Route53RecordAlias(
                    name=target, zone_id=target_zone_id, evaluate_target_health=False
                ),
            )
