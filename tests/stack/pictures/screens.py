"""The screens on which the pictures must be readable."""

LAPTOP = 1366
"""Width of a small laptop screen in pixels."""
SMALLEST_TEXT = 12
"""Minimum font size in pixels."""
