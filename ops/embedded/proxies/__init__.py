"""Proxies that add TLS and IAM authentication to the embedded database and cache.

They run as separate processes without the project on the import path, so the modules import only
each other.
"""
