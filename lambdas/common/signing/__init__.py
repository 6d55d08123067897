"""Signing keys and the tokens and tickets signed with them."""
