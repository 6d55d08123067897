"""Tests the normal forms of texts, email addresses and passwords."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdas.auth.models import Login, Register
from lambdas.common.problems import Problem
from lambdas.common.text import Email, Password, normalize
from lambdas.common.validation import validate

PASSWORD = "Passw0rd!"


@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_all_texts_of_a_body_are_normalized(value: object) -> None:
    assert normalize(value) == normalize(normalize(value))
    assert unicodedata.is_normalized("NFC", str(normalize(str(value))))


def test_a_body_is_normalized_before_its_length_is_checked() -> None:
    body = {"email": "a@example.com", "password": PASSWORD, "displayName": "e\u0301" * 50}
    assert validate(Register, body).display_name == "\u00e9" * 50


def test_a_body_that_is_nested_too_deeply_returns_400() -> None:
    nested: object = []
    for _ in range(5000):
        nested = [nested]
    with pytest.raises(Problem) as raised:
        validate(Login, {"email": nested})
    assert raised.value.status == 400


@pytest.mark.parametrize(
    ("forms", "account"),
    [
        (["Ann@Example.COM", "ann@example.com"], "ann@example.com"),
        (
            ["e\u0301a@example.com", "\u00e9a@example.com", "\u00c9A@example.com"],
            "\u00e9a@example.com",
        ),
        (
            ["a@b\u00fccher.example", "a@BU\u0308CHER.example", "A@XN--bcher-kva.example"],
            "a@xn--bcher-kva.example",
        ),
        (
            ["\uff41nn@example.com", "ann@\uff45xample.com", "ann\uff20example.com"],
            "ann@example.com",
        ),
        (["o'neil+tag_1-x@mail.example.com"], "o'neil+tag_1-x@mail.example.com"),
    ],
)
def test_equivalent_email_addresses_have_one_normal_form(forms: list[str], account: str) -> None:
    assert {Email.parse(form) for form in forms} == {account}
    assert Email.parse(account) == account


@pytest.mark.parametrize(
    "address",
    [
        "",
        "x",
        "@example.com",
        "a@",
        "a@b",
        "a@.com",
        "a@b..com",
        "a@b.com.",
        "a b@example.com",
        "a,b@example.com",
        "a@example.com,b@example.com",
        "a@@example.com",
        '"a"@example.com',
        "a;b@example.com",
        "<a@example.com>",
        "a\n@example.com",
        "a@example.com\n",
        "a\0@example.com",
        "a\u202e@example.com",
        "\u200fa@example.com",
        "a\u2066b@example.com",
        "a\u200b@example.com",
        "a\u00ad@example.com",
        "a\u3000b@example.com",
        "a@exam\u200bple.com",
        "a@stra\u00dfe.example",
        "a\ufeff@example.com",
        "a\ue000@example.com",
        "a\ud800@example.com",
        "x" * 120 + "@example.com",
        "a@" + "x" * 64 + ".com",
        5,
        None,
        ["a@example.com"],
    ],
    ids=ascii,
)
def test_text_that_is_not_an_email_address_is_rejected(address: object) -> None:
    with pytest.raises(Problem) as raised:
        validate(Login, {"email": address, "password": "x"})
    assert [(e.field, e.message) for e in raised.value.errors] == [
        ("email", "must be an email address")
    ]


@given(st.emails())
def test_normalizing_an_accepted_address_again_does_not_change_it(address: str) -> None:
    try:
        account = Email.parse(address)
    except ValueError:
        return
    assert Email.parse(account) == account
    assert Email.parse(address.upper()) == account


@pytest.mark.parametrize(
    "forms",
    [
        ["Pass\u00e9w0rd!", "Passe\u0301w0rd!"],
        ["\uff30\uff41ssw0rd!", "Passw0rd!"],
        ["Pa\u00a0ssw0rd!", "Pa ssw0rd!", "Pa\u3000ssw0rd!"],
        ["\ufb01Xpassw0rd!", "fiXpassw0rd!"],
    ],
)
def test_equivalent_passwords_have_one_normal_form(forms: list[str]) -> None:
    for model, name in ((Register, "password"), (Login, "password")):
        body = {"email": "a@example.com"} | ({"displayName": "Ann"} if model is Register else {})
        normal_forms = {getattr(validate(model, {**body, name: form}), name) for form in forms}
        assert len(normal_forms) == 1


@pytest.mark.parametrize("password", ["", "a\n", "a\0", "x" * 257, 5, None], ids=ascii)
def test_passwords_of_invalid_length_or_with_control_characters_are_rejected(
    password: object,
) -> None:
    with pytest.raises((ValueError, TypeError)):
        Password.parse(password)
