"""Finds statements that allow access to everybody, because no condition restricts the callers."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from ops.permissions import globs
from ops.permissions.conditions import Condition, Network, Result, networks
from ops.permissions.principals import ANYBODY

EVERYBODY = frozenset({ANYBODY, "*:*"})
"""The principals that include everybody. AWS accepts `*:*` (`{"*": "*"}`) but does not document it.
"""
IDENTIFIERS = frozenset({
    "aws:principalaccount", "aws:principalorgid", "aws:sourceaccount", "aws:sourceorgid",
    "aws:sourceowner", "aws:sourcevpc", "aws:sourcevpce", "aws:userid", "kms:calleraccount",
    "s3:dataaccesspointaccount",
})  # fmt: skip
"""Condition keys that restrict the callers if the values have no wildcards.

S3 uses the same keys to decide whether a bucket is public.
"""
ARNS = frozenset({"aws:principalarn", "aws:sourcearn", "s3:dataaccesspointarn"})
"""Condition keys that restrict the callers if the ARN's account or bucket has no wildcard."""
PATHS = frozenset({"aws:principalorgpaths", "aws:sourceorgpaths"})
"""Condition keys that restrict the callers if the path starts with an organization's ID."""
ADDRESSES = frozenset({"aws:sourceip", "aws:vpcsourceip"})
RESOURCE_OWNER_VARIABLES = frozenset({"aws:resourceaccount", "aws:resourceorgid"})
"""Policy variables whose values depend on the resource, not on the caller."""
MOUNT_TARGET_KEY = "elasticfilesystem:accessedviamounttarget"
"""The condition key that is true if a client uses a mount target of an EFS file system."""
PATTERNS = frozenset({"stringequals", "stringequalsignorecase", "stringlike", "arnlike"})
LARGEST_KNOWN = {4: 2**24, 6: 2**96}
"""Maximum number of public addresses in a condition that count as known callers, by IP version.

S3 calls a bucket public if its policy allows a range that is larger than an IPv4 /8 or IPv6 /32.
"""

SUBJECTS = (":sub", ":id", ":user_id", ":email", ":amr")
AUDIENCES = (":aud", ":app_id", ":oaud")
_GUESTS = "cognito-identity.amazonaws.com"
_OWN_ISSUER = re.compile(r"oidc\.eks\.|oidc-provider/oidc\.eks\.")


def restricts_callers(condition: Condition) -> bool:
    """Returns True if the condition limits the callers to known accounts, networks or resources."""
    if condition.negated or condition.without_key is not Result.NOT_MET or not condition.values:
        return False
    if condition.key in ADDRESSES:
        ranges = networks(condition.values)
        return ranges is not None and not is_internet(ranges)
    if condition.key == MOUNT_TARGET_KEY:
        return condition.values == {"true"}
    is_restricting = next((check for keys, check in _CHECKS if condition.key in keys), None)
    return (
        is_restricting is not None
        and condition.comparison in PATTERNS
        and all(map(is_restricting, condition.patterns()))
    )


def _is_fixed(pattern: str) -> bool:
    names = globs.variable_names(pattern)
    if names:
        return len(pattern) == 1 and names[0] in RESOURCE_OWNER_VARIABLES
    return globs.is_fixed(pattern)


def _names_owner(arn: str) -> bool:
    """Returns True if an ARN pattern has a fixed account or a fixed bucket name."""
    parts = arn.split(":", 5)
    if len(parts) < 6:
        return globs.is_fixed(arn)
    if parts[4]:
        return globs.is_fixed(parts[4])
    return bool(globs.fixed_start(parts[5])) and globs.is_fixed(parts[5].partition("/")[0])


def _names_organization(path: str) -> bool:
    return "/" in globs.fixed_start(path)


_CHECKS = ((IDENTIFIERS, _is_fixed), (ARNS, _names_owner), (PATHS, _names_organization))


def is_internet(ranges: Iterable[Network]) -> bool:
    """Returns True if the ranges contain more public addresses in total than LARGEST_KNOWN."""
    total = {4: 0, 6: 0}
    for item in map(_unmapped, ranges):
        if not item.is_private or item.prefixlen == 0:
            total[item.version] += item.num_addresses
    return any(total[version] > LARGEST_KNOWN[version] for version in total)


def _is_everybody(principal: str) -> bool:
    return principal in EVERYBODY or principal.endswith(f":{ANYBODY}")


def _unmapped(item: Network) -> Network:
    """Converts an IPv4 range in IPv6 notation, such as `::ffff:0:0/96`, to the IPv4 range."""
    mapped = item.network_address.ipv4_mapped if isinstance(item, ipaddress.IPv6Network) else None
    return ipaddress.IPv4Network((mapped, item.prefixlen - 96)) if mapped else item


def open_principals(
    principals: Iterable[str], *, excluded: bool, conditions: Iterable[Condition]
) -> frozenset[str]:
    """Returns the principals through which an Allow statement gives everybody access.

    Args:
        excluded: True if the statement has NotPrincipal instead of Principal.
    """
    conditions = list(conditions)
    if excluded:
        return frozenset() if any(map(restricts_callers, conditions)) else frozenset(principals)
    return frozenset(
        name
        for name in principals
        if (_is_everybody(name) and not any(map(restricts_callers, conditions)))
        or (name.startswith("Federated:") and not _restricts_federation(name, conditions))
    )


def _restricts_federation(principal: str, conditions: Iterable[Condition]) -> bool:
    """Returns True if the conditions accept only some users of an external identity provider."""
    required = [
        item for item in conditions if not item.negated and item.without_key is Result.NOT_MET
    ]
    if ":saml-provider/" in principal:
        return any(item.key in {"saml:aud", "saml:sub"} and _is_specific(item) for item in required)
    if _GUESTS in principal:
        return any(item.key.endswith(":aud") and _is_specific(item) for item in required) and any(
            item.key.endswith(":amr") and item.values == {"authenticated"} for item in required
        )
    own_issuer = _OWN_ISSUER.search(principal) is not None
    audience = any(item.key.endswith(AUDIENCES) and _is_specific(item) for item in required)
    subject = any(
        item.key.endswith(SUBJECTS) and _is_specific(item, own_issuer=own_issuer)
        for item in required
    )
    return audience and subject


def _is_specific(condition: Condition, *, own_issuer: bool = False) -> bool:
    """Returns True if each value is fixed or names one organization.

    For example, `repo:my-organization/*` names one organization.

    Args:
        own_issuer: True if all users of the issuer belong to one owner, as in EKS. All patterns
            are then specific.
    """
    if condition.comparison not in {"stringequals", "stringequalsignorecase", "stringlike"}:
        return False
    return bool(condition.values) and all(
        globs.is_fixed(pattern) or _names_group(globs.fixed_start(pattern), own_issuer=own_issuer)
        for pattern in condition.patterns()
    )


def _names_group(start: str, *, own_issuer: bool) -> bool:
    # `repo:owner/` (GitHub) and `organization:name:` (HCP Terraform) identify a whole organization.
    # Each EKS cluster has a separate issuer, so all subjects of that issuer belong to the cluster.
    return own_issuer or "/" in start or start.count(":") > 1
