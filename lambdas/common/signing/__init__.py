"""Signing keys, and single-use WebSocket tickets."""
