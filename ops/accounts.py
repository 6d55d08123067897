"""Normalizes the email addresses of accounts with the same code as the services."""

from __future__ import annotations

from lambdas.common.text import Email
from ops.errors import OperatorError


def account_address(text: str) -> str:
    """Returns an email address in the normalized form that identifies its account.

    Raises:
        OperatorError: the services would reject the address.
    """
    try:
        return Email.parse(text)
    except ValueError:
        raise OperatorError(
            f'"{text}" is not an email address: use one such as ann@example.com'
        ) from None
