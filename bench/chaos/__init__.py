"""Breaks a local platform under load, and checks that it keeps every acknowledged write once."""
