"""Tests that the console replaces secrets in the data that it shows."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from ops.inspection.masking import MASK, is_secret_name, mask_secrets

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJlLW9mLXRlc3Q"


@pytest.mark.parametrize(
    "name",
    ["password", "refreshToken", "access_token", "ClientSecret", "apiKey", "api_key", "ticket",
     "x-amz-signature", "Authorization", "private-key", "DB_PASSWORD", "tokens"],
)  # fmt: skip
def test_values_with_a_secret_name_are_hidden(name: str) -> None:
    assert mask_secrets({name: "value", "deep": [{name: 1}]}) == {
        name: MASK,
        "deep": [{name: MASK}],
    }


@pytest.mark.parametrize(
    "name",
    ["JWT_SECRET_PARAMETER", "SECRET_ARN", "max_completion_tokens_url", "passwords_seen_at",
     "session_id", "keyboard", "monkey", "room_id", "TICKETS_TABLE", "secretary"],
)  # fmt: skip
def test_names_that_only_refer_to_a_secret_are_shown(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    "text", [f"Bearer {TOKEN}", f"https://example.com/?X-Amz-Signature={TOKEN}&x=1"]
)
def test_secrets_inside_texts_are_hidden(text: str) -> None:
    shown = mask_secrets({"message": text})["message"]
    assert MASK in shown
    assert TOKEN not in shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(Decimal(3), 3), (Decimal("1.5"), 1.5), ({"b", "a"}, ["a", "b"]), (b"123", "(3 bytes)"),
     (None, None), (True, True), ("text", "text")],
)  # fmt: skip
def test_values_of_data_stores_are_converted_to_json(value: Any, shown: Any) -> None:
    assert mask_secrets(value) == shown
