"""Tests how verification codes are found in mails."""

from __future__ import annotations

from typing import Any

import pytest

from ops.local.mail import latest_code

MAILS: list[dict[str, Any]] = [
    {
        "To": ["Ann@example.com"],
        "Timestamp": "2026-01-01T00:00:02",
        "BodyText": "Your code is 222222",
        "BodyHtml": None,
    },
    {
        "To": ["ann@example.com"],
        "Timestamp": "2026-01-01T00:00:01",
        "BodyText": "Your code is 111111",
        "BodyHtml": None,
    },
    {
        "To": ["ann@example.com"],
        "Timestamp": "2026-01-01T00:00:03",
        "BodyText": "Welcome",
        "BodyHtml": None,
    },
    {
        "To": ["bob@example.com"],
        "Timestamp": "2026-01-01T00:00:04",
        "BodyText": "",
        "BodyHtml": "<b>333333</b>",
    },
]


@pytest.mark.parametrize(
    ("email", "code"),
    [
        ("ann@example.com", "222222"),
        ("BOB@example.com", "333333"),
        ("\uff42ob@EXAMPLE.com", "333333"),
        ("eve@example.com", None),
    ],
)
def test_the_latest_code_sent_to_an_address_is_returned(email: str, code: str | None) -> None:
    assert latest_code(MAILS, email) == code
