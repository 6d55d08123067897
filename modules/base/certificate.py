"""A TLS certificate, validated by DNS in the environment's hosted zone."""

from __future__ import annotations

from collections.abc import Sequence

from cdktf import TerraformProvider, TerraformResourceLifecycle
from cdktf_cdktf_provider_aws.acm_certificate import AcmCertificate
from cdktf_cdktf_provider_aws.acm_certificate_validation import AcmCertificateValidation
from cdktf_cdktf_provider_aws.route53_record import Route53Record
from constructs import Construct

from modules.base.naming import service_tag


class Certificate(Construct):
    """A certificate for several names. Resources that use `arn` wait until ACM has validated it.

    Args:
        domain_names: The names in the certificate, whose subject is the first name.
        hosted_zone_id: The zone for the validation records.
        provider: The provider of the certificate's region, by default the environment's region.
            CloudFront and edge-optimized APIs require us-east-1.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        domain_names: Sequence[str],
        hosted_zone_id: str,
        provider: TerraformProvider | None = None,
    ) -> None:
        super().__init__(scope, id_)
        certificate = AcmCertificate(
            self,
            "certificate",
            domain_name=domain_names[0],
            subject_alternative_names=list(domain_names[1:]) or None,
            validation_method="DNS",
            provider=provider,
            tags=service_tag("platform"),
            lifecycle=TerraformResourceLifecycle(create_before_destroy=True),
        )
        records = []
        for index, name in enumerate(domain_names):
            # ACM returns the options in any order. Selecting them by name keeps the records of
            # other names unchanged when a name is added.
            option = (
                f"[for option in {certificate.fqn}.domain_validation_options : option if"
                f' option.domain_name == "{name}"][0]'
            )
            record = Route53Record(
                self,
                f"validation-{index}",
                zone_id=hosted_zone_id,
                name=f"${{{option}.resource_record_name}}",
                type=f"${{{option}.resource_record_type}}",
                records=[f"${{{option}.resource_record_value}}"],
                ttl=300,
                allow_overwrite=True,
            )
            records.append(record.fqdn)
        validation = AcmCertificateValidation(
            self,
            "validated",
            certificate_arn=certificate.arn,
            validation_record_fqdns=records,
            provider=provider,
        )
        self.arn: str = validation.certificate_arn
