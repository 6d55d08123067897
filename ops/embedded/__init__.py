"""The embedded cloud: an AWS, a PostgreSQL and a Valkey as processes of this machine, on loopback, without an account."""

from ops.embedded.cloud import Addresses, EmbeddedCloud

__all__ = ["Addresses", "EmbeddedCloud"]
