"""The language model providers' API keys. Operators store them in SSM with `ops secrets set`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from lambdas.common.clock import SYSTEM_CLOCK, Clock

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

UNSET = "unset"
"""The value of an SSM parameter before an operator stores a key (modules/secrets.py)."""

MAX_AGE = 300.0
"""Seconds for which a key is cached."""

UNSET_MAX_AGE = 10.0
"""Seconds until SSM is read again for a missing key, so a new key works within this time."""


class ApiKeys:
    """Reads the keys on demand and caches them."""

    def __init__(
        self, ssm: "SSMClient", parameters: Mapping[str, str], clock: Clock = SYSTEM_CLOCK
    ) -> None:
        """`parameters` maps each provider to the name of its SSM parameter."""
        self._ssm = ssm
        self._parameters = parameters
        self._clock = clock
        self._cache: dict[str, tuple[str | None, float]] = {}

    def get(self, provider: str) -> str | None:
        """Returns the provider's API key, or None if no key is stored."""
        key, expires_at = self._cache.get(provider, (None, 0.0))
        if self._clock() >= expires_at:
            key = self._read(self._parameters[provider])
            self._cache[provider] = key, self._clock() + (MAX_AGE if key else UNSET_MAX_AGE)
        return key

    def discard(self, provider: str) -> None:
        """Discards the cached key, for example because the provider rejected it."""
        self._cache.pop(provider, None)

    def _read(self, parameter: str) -> str | None:
        result = self._ssm.get_parameter(Name=parameter, WithDecryption=True)
        value = result["Parameter"]["Value"].strip()
        return None if value in {"", UNSET} else value
