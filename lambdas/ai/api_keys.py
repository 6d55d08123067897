"""The providers' keys, which an operator stores in SSM (`ops secrets set`) and may exchange at any time."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from lambdas.common.clock import SYSTEM_CLOCK, Clock

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

UNSET = "unset"
"""What a parameter holds before anybody has stored a key (modules/secrets.py)."""

MAX_AGE = 300.0
"""Seconds that a key is kept."""

UNSET_MAX_AGE = 10.0
"""Seconds that the lack of one is kept: somebody who has just stored a key tries it."""


class ApiKeys:
    """The keys by provider, each looked up when it is needed and kept for a while."""

    def __init__(
        self, ssm: "SSMClient", parameters: Mapping[str, str], clock: Clock = SYSTEM_CLOCK
    ) -> None:
        """`parameters` names each provider's parameter."""
        self._ssm = ssm
        self._parameters = parameters
        self._clock = clock
        self._found: dict[str, tuple[str | None, float]] = {}

    def get(self, provider: str) -> str | None:
        """The provider's key, None where nobody has stored one."""
        known = self._found.get(provider)
        now = self._clock()
        if known is None or now >= known[1]:
            key = self._read(self._parameters[provider])
            known = key, now + (MAX_AGE if key else UNSET_MAX_AGE)
            self._found[provider] = known
        return known[0]

    def forget(self, provider: str) -> None:
        """Looks the key up anew when it is next asked for: it was refused, so it may have been exchanged."""
        self._found.pop(provider, None)

    def _read(self, parameter: str) -> str | None:
        value = self._ssm.get_parameter(Name=parameter, WithDecryption=True)["Parameter"][
            "Value"
        ].strip()
        return None if value in {"", UNSET} else value
