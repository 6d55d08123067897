"""The policy for text in requests: normal forms, visible characters, email addresses, passwords."""

import re
import unicodedata
from typing import Any, Self

_CONTROL = r"\x00-\x1f\x7f-\x9f\u2028\u2029"
_CONTROL_IN_TEXT = r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f"

# Unicode's embeddings, overrides and isolates. In a name, they can reorder the surrounding text.
_BIDIRECTIONAL = r"\u202a-\u202e\u2066-\u2069"

# Whitespace, control characters, U+2800 (blank Braille), U+FFF9 to U+FFFB, and the characters with
# Unicode's property Default_Ignorable_Code_Point.
_INVISIBLE = (
    r"\s\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    r"\u202a-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    r"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
VISIBLE = rf"[^{_INVISIBLE}]"
"""A pattern for one visible character."""
_VISIBLE = rf"(?=[\s\S]*{VISIBLE})"

LINE = rf"^{_VISIBLE}[^{_CONTROL}{_BIDIRECTIONAL}]*\Z"
"""A pattern for one line that has at least one visible character."""

OPTIONAL_LINE = rf"^(?:{_VISIBLE}[^{_CONTROL}{_BIDIRECTIONAL}]*)?\Z"
"""A pattern for an empty text or a LINE."""

NAME = rf"^(?=\S){_VISIBLE}[^{_CONTROL}{_BIDIRECTIONAL}]*(?<=\S)\Z"
"""A pattern for a LINE without spaces at either end."""

FILE_NAME = rf"^(?=\S){_VISIBLE}[^{_CONTROL}{_BIDIRECTIONAL}/\\]*(?<=\S)\Z"

TEXT = rf"^{_VISIBLE}[^{_CONTROL_IN_TEXT}]*\Z"
"""A pattern for one or more lines that have at least one visible character. It rejects control
characters other than tabs and line ends, because most of them take six characters in JSON.
"""

OPTIONAL_TEXT = rf"^(?:{_VISIBLE}[^{_CONTROL_IN_TEXT}]*)?\Z"
"""A pattern for an empty text or a TEXT."""

# The special characters of RFC 5322, without the dot, because addresses may contain dots.
_SPECIAL = frozenset('()<>[]:;@\\,"')

# IDNA 2003, which Python implements, and IDNA 2008 disagree about these characters.
_DEVIATIONS = frozenset("\u00df\u03c2\u200c\u200d")


def normalize(value: Any) -> Any:
    """Returns a JSON value with all strings in Unicode's normalization form C (NFC).

    Raises RecursionError if the value is nested too deeply.
    """
    if isinstance(value, str):
        return value if value.isascii() else unicodedata.normalize("NFC", value)
    if isinstance(value, list):
        return [normalize(item) for item in value]
    if isinstance(value, dict):
        return {normalize(name): normalize(item) for name, item in value.items()}
    return value


class Email(str):
    """An email address in the form that identifies its account.

    Both parts are in lower case, the local part in Unicode's form NFKC, the domain in ASCII.
    """

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> Self:
        """Returns the normalized address.

        Raises ValueError if the value is not an email address, or TypeError if it is not a string.
        """
        if not isinstance(value, str):
            raise TypeError
        # The text is normalized again, because lower() can return decomposed characters.
        address = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", value).lower())
        local, at, domain = address.rpartition("@")
        # The categories C (control, format, unassigned ...) and Z (spaces) are not visible.
        if not (local and at) or any(
            character in _SPECIAL or unicodedata.category(character)[0] in "CZ"
            for character in local + domain
        ):
            raise ValueError
        domain = _ascii_domain(domain)
        # Cognito accepts at most 128 characters.
        if len(local) + len(domain) >= 128:
            raise ValueError
        return cls(f"{local}@{domain}")


class Password(str):
    """A password in Unicode's form NFKC, because keyboards enter the same character in different
    forms (RFC 8265).
    """

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> Self:
        """Returns the normalized password.

        Raises ValueError if the password is empty, too long or contains control characters, or
        TypeError if the value is not a string.
        """
        if not isinstance(value, str):
            raise TypeError
        password = unicodedata.normalize("NFKC", value)
        # Cognito accepts at most 256 characters.
        if not 0 < len(password) <= 256 or re.search(rf"[{_CONTROL}]", password):
            raise ValueError
        return cls(password)


def _ascii_domain(domain: str) -> str:
    labels = domain.split(".")
    if len(labels) < 2 or not all(labels) or _DEVIATIONS & set(domain):
        raise ValueError
    return domain.encode("idna").decode().lower()  # raises UnicodeError, which is a ValueError
