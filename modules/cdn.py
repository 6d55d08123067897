"""CDN: CloudFront distributions for the static site and for user-uploaded images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from cdktf import Fn, TerraformProvider
from cdktf_cdktf_provider_aws.cloudfront_distribution import (
    CloudfrontDistribution,
    CloudfrontDistributionCustomErrorResponse,
    CloudfrontDistributionDefaultCacheBehavior,
    CloudfrontDistributionDefaultCacheBehaviorFunctionAssociation,
    CloudfrontDistributionLoggingConfig,
    CloudfrontDistributionOrderedCacheBehavior,
    CloudfrontDistributionOrigin,
    CloudfrontDistributionRestrictions,
    CloudfrontDistributionRestrictionsGeoRestriction,
    CloudfrontDistributionViewerCertificate,
)
from cdktf_cdktf_provider_aws.cloudfront_function import CloudfrontFunction
from cdktf_cdktf_provider_aws.cloudfront_origin_access_control import CloudfrontOriginAccessControl
from cdktf_cdktf_provider_aws.cloudfront_response_headers_policy import (
    CloudfrontResponseHeadersPolicy,
    CloudfrontResponseHeadersPolicySecurityHeadersConfig,
)
from constructs import Construct

from environments import Environment
from modules.base.bucket import Bucket
from modules.base.certificate import Certificate
from modules.base.dns import AliasRecords
from modules.base.naming import Names, service_tag
from modules.base.policy import Statement

SERVICE = "platform"

CACHING_OPTIMIZED = "658327ea-f89d-4fab-a63d-7e88639e58f6"
"""The id of the managed policy CachingOptimized (CloudFront developer guide)."""
PRICE_CLASS = "PriceClass_100"
"""The cheapest price class, which has edge locations only in North America and Europe."""
HSTS_SECONDS = 63_072_000
"""Two years in seconds, as hstspreload.org recommends for Strict-Transport-Security."""
AVATARS_PREFIX = "avatars/"
"""The only prefix of the avatars bucket that CloudFront can read."""
IMAGES_PREFIX = "images/"
"""The only prefix of the attachments bucket that CloudFront can read: post and listing images."""

_ROUTING = """\
function handler(event) {
  var request = event.request;
  var isFile = request.uri.split('/').pop().includes('.');
  if (!isFile && !request.uri.startsWith('/.well-known/')) request.uri = PAGE;
  return request;
}
"""
_PAGE = {
    # Every path of a single-page application returns index.html, whose scripts show the page.
    "single_page": "'/index.html'",
    "pages": r"request.uri.replace(/\/?$/, '/index.html')",
}
NOT_FOUND_PAGE = "/404.html"
"""The file that Astro and Next.js generate for unknown paths."""


def route_function(environment: Environment) -> str:
    """Returns the code of the CloudFront function that maps request paths to files of the site."""
    return _ROUTING.replace("PAGE", _PAGE[environment.site_routes])


class Cdn(Construct):
    """The two distributions, with a certificate, DNS records and security headers.

    The distributions have no web ACL, since they serve only static files.

    Args:
        names: The environment and its resource names.
        frontend: The bucket of the site.
        avatars: The bucket with avatars below the prefix `avatars/`.
        attachments: The bucket with images of posts and listings below the prefix `images/`.
        access_log_bucket_domain: The domain name of the bucket for access logs.
        edge_provider: The provider of us-east-1, which CloudFront requires for certificates.

    Attributes:
        site_url, site_distribution_id: The URL and the distribution of the site.
        cdn_url, avatars_distribution_id: The URL and the distribution of images.
        cdn_domain: The domain of images, in the form host[:port].
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        names: Names,
        frontend: Bucket,
        avatars: Bucket,
        attachments: Bucket,
        access_log_bucket_domain: str,
        edge_provider: TerraformProvider,
    ) -> None:
        super().__init__(scope, id_)
        environment = names.environment
        self._environment, self._names = environment, names
        self._log_bucket_domain = access_log_bucket_domain
        domains = environment.domains
        site_names = [domains.site, *domains.site_aliases] if domains else []
        media_names = [domains.cdn] if domains else []
        self._certificate_arn = (
            Certificate(
                self,
                "certificate",
                domain_names=[*site_names, *media_names],
                hosted_zone_id=environment.hosted_zone_id,
                provider=edge_provider,
            ).arn
            if environment.hosted_zone_id
            else None
        )
        self._origin_access = CloudfrontOriginAccessControl(
            self,
            "origin-access",
            name=names.of(SERVICE, "origin-access"),
            description="CloudFront signs its requests to the buckets",
            origin_access_control_origin_type="s3",
            signing_behavior="always",
            signing_protocol="sigv4",
        )
        single_page = CloudfrontFunction(
            self,
            "single-page",
            name=names.of(SERVICE, "single-page"),
            comment="Shows index.html for the pages of the site",
            runtime="cloudfront-js-2.0",
            code=route_function(environment),
            publish=True,
        )
        site = self._distribution(
            "site",
            aliases=site_names,
            default=("frontend", frontend),
            csp=_site_policy(environment, [avatars.name, attachments.name]),
            default_root_object="index.html",
            not_found_page=NOT_FOUND_PAGE if environment.site_routes == "pages" else None,
            functions=[
                CloudfrontDistributionDefaultCacheBehaviorFunctionAssociation(
                    event_type="viewer-request", function_arn=single_page.arn
                )
            ],
        )
        # With ListBucket, S3 returns 404 for a missing file instead of 403. Clients cannot list the
        # bucket, because the function `single-page` changes the path `/` to `/index.html`.
        frontend.allow(_allow_reading(site, "ReadSite", ["s3:GetObject"], f"{frontend.arn}/*"))
        frontend.allow(_allow_reading(site, "FindSite", ["s3:ListBucket"], frontend.arn))
        media = self._distribution(
            "media",
            aliases=media_names,
            default=("avatars", avatars),
            behaviors={f"/{IMAGES_PREFIX}*": ("attachments", attachments)},
            csp="default-src 'none'; sandbox",
        )
        avatars.allow(
            _allow_reading(
                media, "ReadAvatars", ["s3:GetObject"], f"{avatars.arn}/{AVATARS_PREFIX}*"
            )
        )
        attachments.allow(
            _allow_reading(
                media, "ReadImages", ["s3:GetObject"], f"{attachments.arn}/{IMAGES_PREFIX}*"
            )
        )

        self.site_distribution_id: str = site.id
        self.avatars_distribution_id: str = media.id
        self.site_url = self._url(site, site_names)
        self.cdn_url = self._url(media, media_names)
        self.cdn_domain = self.cdn_url.partition("://")[2]

    def _distribution(
        self,
        id_: str,
        *,
        aliases: Sequence[str],
        default: tuple[str, Bucket],
        csp: str,
        behaviors: Mapping[str, tuple[str, Bucket]] | None = None,
        default_root_object: str | None = None,
        not_found_page: str | None = None,
        functions: Sequence[CloudfrontDistributionDefaultCacheBehaviorFunctionAssociation] = (),
    ) -> CloudfrontDistribution:
        """Creates a distribution of private buckets, with its DNS records.

        `behaviors` contains a pair for each path pattern: an origin id and the bucket of the
        origin. `default` is the pair for paths that match no pattern.
        """
        environment = self._environment
        behavior: dict[str, Any] = {
            "viewer_protocol_policy": "redirect-to-https",
            "allowed_methods": ["GET", "HEAD", "OPTIONS"],
            "cached_methods": ["GET", "HEAD"],
            "compress": True,
            "cache_policy_id": CACHING_OPTIMIZED,
            "response_headers_policy_id": self._response_headers(id_, csp),
        }
        distribution = CloudfrontDistribution(
            self,
            id_,
            comment=self._names.of(SERVICE, id_),
            enabled=True,
            aliases=list(aliases) or None,
            http_version="http2and3",
            is_ipv6_enabled=True,
            price_class=PRICE_CLASS,
            default_root_object=default_root_object,
            custom_error_response=[
                CloudfrontDistributionCustomErrorResponse(
                    error_code=404, response_code=404, response_page_path=not_found_page
                )
            ]
            if not_found_page
            else None,
            origin=[
                CloudfrontDistributionOrigin(
                    origin_id=name,
                    domain_name=bucket.bucket.bucket_regional_domain_name,
                    origin_access_control_id=self._origin_access.id,
                )
                for name, bucket in [default, *(behaviors or {}).values()]
            ],
            default_cache_behavior=CloudfrontDistributionDefaultCacheBehavior(
                target_origin_id=default[0],
                function_association=list(functions) or None,
                **behavior,
            ),
            ordered_cache_behavior=[
                CloudfrontDistributionOrderedCacheBehavior(
                    path_pattern=path, target_origin_id=name, **behavior
                )
                for path, (name, _) in (behaviors or {}).items()
            ]
            or None,
            restrictions=CloudfrontDistributionRestrictions(
                geo_restriction=CloudfrontDistributionRestrictionsGeoRestriction(
                    restriction_type="none"
                )
            ),
            viewer_certificate=CloudfrontDistributionViewerCertificate(
                acm_certificate_arn=self._certificate_arn,
                ssl_support_method="sni-only",
                minimum_protocol_version="TLSv1.2_2021",
            )
            if self._certificate_arn
            else CloudfrontDistributionViewerCertificate(cloudfront_default_certificate=True),
            logging_config=CloudfrontDistributionLoggingConfig(
                bucket=self._log_bucket_domain, prefix=f"cloudfront/{id_}/", include_cookies=False
            ),
            tags=service_tag(SERVICE),
        )
        for alias in aliases:
            AliasRecords(
                self,
                f"{alias}-records",
                hosted_zone_id=str(environment.hosted_zone_id),
                domain_name=alias,
                target=distribution.domain_name,
                target_zone_id=distribution.hosted_zone_id,
            )
        return distribution

    def _response_headers(self, id_: str, csp: str) -> str:
        policy = CloudfrontResponseHeadersPolicy(
            self,
            f"{id_}-headers",
            name=self._names.of(SERVICE, f"{id_}-headers"),
            comment="Security headers",
            security_headers_config=CloudfrontResponseHeadersPolicySecurityHeadersConfig(
                content_security_policy={"content_security_policy": csp, "override": True},
                content_type_options={"override": True},
                frame_options={"frame_option": "DENY", "override": True},
                referrer_policy={
                    "referrer_policy": "strict-origin-when-cross-origin",
                    "override": True,
                },
                # Browsers apply `includeSubDomains` and `preload` for years, and to other hosts of
                # the domain. `includeSubDomains` is therefore optional, and `preload` is never set.
                strict_transport_security={
                    "access_control_max_age_sec": HSTS_SECONDS,
                    "include_subdomains": self._environment.domains is not None
                    and self._environment.domains.hsts_subdomains,
                    "preload": False,
                    "override": True,
                },
            ),
        )
        return str(policy.id)

    def _url(self, distribution: CloudfrontDistribution, names: Sequence[str]) -> str:
        if names:
            return f"https://{names[0]}"
        if self._environment.endpoints.aws:
            emulator = urlsplit(self._environment.endpoints.aws)
            label = Fn.element(Fn.split(".", distribution.domain_name), 0)
            return f"{emulator.scheme}://{label}.cloudfront.localhost:{emulator.port}"
        return f"https://{distribution.domain_name}"


def _allow_reading(
    distribution: CloudfrontDistribution, sid: str, actions: Sequence[str], resource: str
) -> Statement:
    """Returns the bucket policy's statement that allows one distribution to read a resource."""
    return Statement(
        sid=sid,
        actions=actions,
        resources=[resource],
        principals={"Service": "cloudfront.amazonaws.com"},
        conditions={"StringEquals": {"AWS:SourceArn": distribution.arn}},
    )


def _site_policy(environment: Environment, upload_buckets: Sequence[str]) -> str:
    """Returns the site's content security policy: no inline code, no third parties.

    The policy allows the global and the regional S3 address of each bucket, because presigned forms
    and links use either of them.
    """
    domains, emulator = environment.domains, environment.endpoints.aws
    if domains:
        hosts = ("s3.amazonaws.com", f"s3.{environment.region}.amazonaws.com")
        uploads = [f"https://{bucket}.{host}" for bucket in upload_buckets for host in hosts]
        api = " ".join([f"https://{domains.api}", f"wss://{domains.websocket}", *uploads])
        pictures = f"https://{domains.cdn}"
    elif emulator:
        api = f"{emulator} {emulator.replace('http', 'ws', 1)}"
        parts = urlsplit(emulator)
        pictures = f"{parts.scheme}://*.cloudfront.localhost:{parts.port}"
    else:
        # Without custom domains, AWS assigns the addresses of the APIs and the CDN only when it
        # creates them. The policy must therefore allow every address with TLS.
        api, pictures = "https: wss:", "https:"
    return "; ".join(
        [
            "default-src 'self'",
            f"connect-src 'self' {api}",
            f"img-src 'self' data: {pictures}",
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        ]
    )
