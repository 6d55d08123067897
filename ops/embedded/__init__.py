"""The embedded cloud: AWS emulator, PostgreSQL and Valkey as local processes on loopback."""

from ops.embedded.cloud import Addresses, EmbeddedCloud

__all__ = ["Addresses", "EmbeddedCloud"]
