"""The embedded cloud: an AWS emulator, PostgreSQL and Valkey, which run on loopback."""

from ops.embedded.cloud import Addresses, EmbeddedCloud

__all__ = ["Addresses", "EmbeddedCloud"]
