"""Reads the mails that the embedded AWS would have sent."""

from __future__ import annotations

import re
from typing import Any

import urllib3

from ops.embedded import EmbeddedCloud
from ops.errors import OperatorError
from ops.root import Root

CODE = re.compile(r"\b\d{6}\b")


def verification_code(root: Root, email: str) -> str:
    """The code in the latest mail to an address that has one.

    Raises:
        OperatorError: the platform does not run, or no such mail was sent.
    """
    addresses = EmbeddedCloud(root).addresses()
    if addresses is None:
        raise OperatorError("The platform is not running on this machine: start it with `make up`")
    reply = urllib3.request("GET", f"{addresses.aws}/_ministack/ses/messages", timeout=10)
    mails = [mail for account in reply.json()["messages"].values() for mail in account]
    code = latest_code(mails, email)
    if code is None:
        raise OperatorError(
            f"No code has been mailed to {email}: register with it, or ask for a new code, first"
        )
    return code


def latest_code(mails: list[dict[str, Any]], email: str) -> str | None:
    """The six digits in the latest mail to an address, whatever the address's case; None: there is none."""
    own = [mail for mail in mails if email.lower() in (to.lower() for to in mail["To"])]
    for mail in sorted(own, key=lambda mail: str(mail["Timestamp"]), reverse=True):
        match = CODE.search(mail["BodyText"] or mail["BodyHtml"] or "")
        if match:
            return match[0]
    return None
