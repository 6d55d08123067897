"""Generates code for new parts of the platform."""
