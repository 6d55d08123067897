"""Breaks a local platform under load, and checks that every acknowledged write is stored once."""
