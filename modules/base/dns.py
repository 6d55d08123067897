"""Records that point one of the platform's names at an AWS endpoint."""

from __future__ import annotations

from cdktf_cdktf_provider_aws.route53_record import Route53Record, Route53RecordAlias
from constructs import Construct


class AliasRecords(Construct):
    """A and AAAA alias records of one name.

    Args:
        hosted_zone_id: where the records go.
        domain_name: the name.
        target: the endpoint's own name.
        target_zone_id: the hosted zone of the endpoint's own name.
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
