"""Checks of an account before a deployment: what would make it fail, and what to do about it."""
