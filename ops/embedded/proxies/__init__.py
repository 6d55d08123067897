"""Proxies that add TLS and IAM authentication to the embedded database and cache.

Each proxy is a separate process without the project on its import path, so modules of this package
import no other modules of the project.
"""
