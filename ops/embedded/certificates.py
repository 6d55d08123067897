"""Creates and renews the certificates of an embedded cloud's authority and servers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from ops.root import Root


class Certificates:
    """The files with the certificates of a local platform's authority and servers.

    Other programs on the machine do not trust the authority.

    Args:
        clock: Returns the current time.
    """

    def __init__(
        self, root: Root, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._clock = clock
        directory = root.path / "certificates"
        self.authority = directory / "authority.pem"
        """The authority's certificate, which clients trust."""
        self.authority_key = directory / "authority-key.pem"
        self.server = directory / "server.pem"
        """The servers' certificate and key, and the authority's certificate."""

    def renew(self) -> bool:
        """Creates each certificate that is missing or invalid, or expires soon.

        Returns:
            True if the servers' certificate is new, so that running servers must restart.
        """
        # `signing` imports the package cryptography, which only the group `local` of the Pipfile
        # contains.
        from ops.embedded.signing import Signing  # noqa: PLC0415

        self.authority.parent.mkdir(parents=True, exist_ok=True)
        return Signing(self._clock()).renew(self.authority, self.authority_key, self.server)
