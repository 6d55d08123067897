"""Signing keys in SSM parameters: a key's id is the version number of the parameter that holds it."""

from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from lambdas.common.clock import SYSTEM_CLOCK, Clock

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

MAX_AGE = 300.0
"""Seconds after which the newest key is looked up again, so that all functions sign with a new one soon."""

REFRESH_INTERVAL = 10.0
"""Seconds between look-ups that unknown ids can cause: forged ids must not turn each request into an SSM call. The newest
id's successor causes its first one at once."""


class Key(Struct, frozen=True):
    """One version of the secret; `kid` is that version."""

    kid: int
    secret: bytes


class KeySource(Protocol):
    """Where keys come from."""

    def fetch(self, version: int | None = None) -> Key | None:
        """The key of that version, None if there is none; without a version the newest."""


class ParameterKeySource:
    """Keys from one SSM parameter."""

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
    """The newest key, which signs, and the one before it, which is still accepted: nothing else verifies."""

    def __init__(self, source: KeySource, clock: Clock = SYSTEM_CLOCK) -> None:
        self._source = source
        self._clock = clock
        self._newest: Key | None = None
        self._previous: Key | None = None
        self._previous_kid: int | None = (
            None  # the version `_previous` was fetched for, also when there was none
        )
        self._looked_up_at = 0.0
        self._successor_seen: int | None = None

    def signing_key(self) -> Key:
        """The newest key, at most MAX_AGE seconds out of date."""
        if self._newest is None or self._age() >= MAX_AGE:
            self._refresh()
        assert self._newest is not None
        return self._newest

    def verification_key(self, kid: int) -> Key | None:
        """The key of that id if it is the newest or the one before, else None."""
        newest = self.signing_key()
        if self._is_new_successor(kid) or (kid > newest.kid and self._age() >= REFRESH_INTERVAL):
            self._refresh()  # the key was rotated a moment ago, or the id is invented
            newest = self.signing_key()
        if kid == newest.kid:
            return newest
        if kid != newest.kid - 1:
            return None
        if self._previous_kid != kid:
            self._previous, self._previous_kid = self._source.fetch(kid), kid
        return self._previous

    def _is_new_successor(self, kid: int) -> bool:
        """Whether it is the id that a rotation gives next, seen for the first time: the one id that need not wait."""
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
