"""Signing keys in SSM parameters. A key's id is the version number of the parameter."""

from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from lambdas.common.clock import SYSTEM_CLOCK, Clock

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

MAX_AGE = 300.0
"""Seconds after which the newest key is read again, so that functions soon use a rotated key."""

REFRESH_INTERVAL = 10.0
"""Minimum seconds between SSM reads for unknown key ids, which may be forged. The first use of the
id that follows the newest id triggers an immediate read, because a new key may exist."""


class Key(Struct, frozen=True):
    """One version of the secret. `kid` is the version number."""

    kid: int
    secret: bytes


class KeySource(Protocol):
    def fetch(self, version: int | None = None) -> Key | None:
        """Returns the key of a version, by default the newest, or None if it does not exist."""


class ParameterKeySource:
    """Reads keys from one SSM parameter."""

    def __init__(self, ssm: "SSMClient", parameter: str) -> None:
        self._ssm = ssm
        self._parameter = parameter

    def fetch(self, version: int | None = None) -> Key | None:
        name = self._parameter if version is None else f"{self._parameter}:{version}"
        try:
            parameter = self._ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"]
        except (
            self._ssm.exceptions.ParameterVersionNotFound,
            self._ssm.exceptions.ParameterNotFound,
        ):
            if version is None:
                raise
            return None
        return Key(parameter["Version"], parameter["Value"].encode())


class KeyRing:
    """Provides the newest key for signing, and the newest and the previous key for verifying."""

    def __init__(self, source: KeySource, clock: Clock = SYSTEM_CLOCK) -> None:
        self._source = source
        self._clock = clock
        self._newest: Key | None = None
        self._previous: Key | None = None
        # The key id with which `_previous` was read. A key that does not exist is stored as None.
        self._previous_kid: int | None = None
        self._looked_up_at = 0.0
        self._successor_seen: int | None = None

    def signing_key(self) -> Key:
        """Returns the newest key, cached for up to MAX_AGE seconds."""
        if self._newest is None or self._age() >= MAX_AGE:
            self._refresh()
        assert self._newest is not None
        return self._newest

    def verification_key(self, kid: int) -> Key | None:
        """Returns the newest or the previous key if it has this id, else None."""
        newest = self.signing_key()
        if self._is_new_successor(kid) or (kid > newest.kid and self._age() >= REFRESH_INTERVAL):
            self._refresh()  # either the key was just rotated, or the token's key id is forged
            newest = self.signing_key()
        if kid == newest.kid:
            return newest
        if kid != newest.kid - 1:
            return None
        if self._previous_kid != kid:
            self._previous, self._previous_kid = self._source.fetch(kid), kid
        return self._previous

    def _is_new_successor(self, kid: int) -> bool:
        """Returns True if `kid` follows the newest id and was not checked before.

        The key may have been rotated. Later checks of the same id return False, so that forged
        tokens cause at most one lookup.
        """
        assert self._newest is not None
        if kid != self._newest.kid + 1 or kid == self._successor_seen:
            return False
        self._successor_seen = kid
        return True

    def _age(self) -> float:
        return self._clock() - self._looked_up_at

    def _refresh(self) -> None:
        newest = self._source.fetch()
        assert newest is not None
        self._newest, self._looked_up_at = newest, self._clock()
