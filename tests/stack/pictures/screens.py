"""The screens on which the pictures must be readable."""

LAPTOP = 1366
"""Pixels: the width of a small laptop screen."""
SMALLEST_TEXT = 12
"""Minimum font size in pixels."""
