"""Reads the emails that the embedded AWS stores instead of sending them."""

from __future__ import annotations

import re
from typing import Any

import urllib3

from ops.accounts import account_address
from ops.embedded import EmbeddedCloud
from ops.errors import OperatorError
from ops.root import Root

CODE = re.compile(r"\b\d{6}\b")


def verification_code(root: Root, email: str) -> str:
    """Returns the latest verification code that was sent to an address.

    Raises:
        OperatorError: the platform is not running, no code was sent, or the text is not an email
            address.
    """
    code = latest_code(read_mails(root), email)
    if code is None:
        raise OperatorError(
            f"No code was sent to {email}: register with that address, or request a new code"
        )
    return code


def read_mails(root: Root) -> list[dict[str, Any]]:
    """Returns all mails that the embedded AWS stored.

    Raises:
        OperatorError: The platform is not running.
    """
    addresses = EmbeddedCloud(root).addresses()
    if addresses is None:
        raise OperatorError("The platform is not running on this machine: start it with `make up`")
    with urllib3.PoolManager(ca_certs=addresses.authority) as pool:
        response = pool.request("GET", f"{addresses.aws}/_ministack/ses/messages", timeout=10)
    return [mail for account in response.json()["messages"].values() for mail in account]


def latest_code(mails: list[dict[str, Any]], email: str) -> str | None:
    """Returns the latest six-digit code sent to an account's address, or None."""
    address = account_address(email)
    own = [mail for mail in mails if address in (to.lower() for to in mail["To"])]
    for mail in sorted(own, key=lambda mail: str(mail["Timestamp"]), reverse=True):
        match = CODE.search(mail["BodyText"] or mail["BodyHtml"] or "")
        if match:
            return match[0]
    return None
