"""The files of the certificate authority of an embedded cloud and of its servers' certificate."""

from __future__ import annotations

from ops.root import Root


class Certificates:
    """The certificate authority of a root. Other programs on the machine do not trust it."""

    def __init__(self, root: Root) -> None:
        directory = root.path / "certificates"
        self.authority = directory / "authority.pem"
        """The authority's certificate, which clients trust."""
        self.authority_key = directory / "authority-key.pem"
        self.server = directory / "server.pem"
        """The servers' certificate and key."""

    def renew(self) -> None:
        """Creates a new certificate for the servers, and the authority if it does not exist."""
        # Needs the package cryptography, which only the group `local` contains.
        from ops.embedded.signing import create_authority, sign_server  # noqa: PLC0415

        self.authority.parent.mkdir(parents=True, exist_ok=True)
        if not self.authority.exists():
            create_authority(self.authority, self.authority_key)
        sign_server(self.server, self.authority, self.authority_key)
