"""Constructs, each of which wraps one AWS resource with safe defaults."""
