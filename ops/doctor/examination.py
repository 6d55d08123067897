"""Runs all checks of an environment."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from ops.cloud import Cloud, connect
from ops.doctor.account import (
    check_clock,
    check_github_provider,
    check_identity,
    check_logging_role,
    check_region,
    check_service_linked_roles,
)
from ops.doctor.buckets import check_bucket_names, check_state_bucket
from ops.doctor.domains import check_certificates, check_zone
from ops.doctor.mail import check_mail
from ops.doctor.quotas import (
    QUOTAS,
    check_api_rates,
    check_concurrency,
    check_granted,
    check_quota,
)
from ops.doctor.result import Check, Finding, Result, warning
from ops.doctor.tools import check_tools
from ops.errors import OperatorError
from ops.root import Root

CREDENTIALS = "credentials"
CHECKS: Mapping[str, Check] = {
    CREDENTIALS: check_identity,
    "clock": check_clock,
    "region": check_region,
    "state bucket": check_state_bucket,
    "bucket names": check_bucket_names,
    "API Gateway logging role": check_logging_role,
    "service-linked roles": check_service_linked_roles,
    "GitHub OIDC provider": check_github_provider,
    "hosted zone": check_zone,
    "certificates": check_certificates,
    "mail": check_mail,
    "Lambda concurrency": check_concurrency,
    "API rates": check_api_rates,
    "granted quotas": check_granted,
    **{quota.name: functools.partial(check_quota, quota=quota) for quota in QUOTAS},
}
"""All checks of an account by subject, in the order of the report."""
DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403"})
"""Error codes of AWS for missing permissions."""
ACTION = re.compile(r"perform: ?([\w-]+:\w+)")


def examine(
    name: str, root: Root, connect: Callable[[str, Root], Cloud] = connect
) -> list[Finding]:
    """Runs all checks of an environment.

    If no connection is possible, runs only the checks of the installed tools. A check for which a
    permission is missing becomes a warning.
    """
    try:
        cloud = connect(name, root)
    except OperatorError as error:
        problem, _, remedy = str(error).rpartition(": ")
        failed = Finding("failure", problem or str(error), remedy, CREDENTIALS)
        return [*_findings("tools", check_tools(root)), failed]
    return examine_cloud(cloud, root)


def examine_cloud(cloud: Cloud, root: Root, checks: Mapping[str, Check] = CHECKS) -> list[Finding]:
    """Runs all checks of an environment through an open connection."""
    findings = _findings("tools", check_tools(root))
    for subject, check in checks.items():
        findings += _findings(subject, _results(check, cloud))
    return findings


def require_no_failures(name: str, findings: Sequence[Finding]) -> None:
    """Raises an error that lists the failures, if there are any.

    Raises:
        OperatorError: A check failed.
    """
    failures = [item for item in findings if item.status == "failure"]
    if failures:
        raise OperatorError(
            f"{name} cannot be deployed:\n"
            + "\n".join(line for item in failures for line in item.lines())
            + "\nCorrect these problems, or use --skip-doctor"
        )


def _results(check: Check, cloud: Cloud) -> Iterator[Result]:
    """Yields a check's results. An error of AWS becomes a warning."""
    try:
        yield from check(cloud)
    except ClientError as error:
        yield _unchecked(error)
    except (BotoCoreError, HTTPError) as error:
        yield warning(f"not checked: {error}", "")


def _unchecked(error: ClientError) -> Result:
    if error.response["Error"]["Code"] not in DENIED:
        return warning(f"not checked: {error}", "")
    named = ACTION.search(error.response["Error"].get("Message", ""))
    action = named[1] if named else error.operation_name
    return warning(
        f"not checked, because {action} is not allowed", f"allow {action} for this identity"
    )


def _findings(subject: str, results: Iterable[Result]) -> list[Finding]:
    return [Finding(item.status, item.detail, item.remedy, subject) for item in results]
