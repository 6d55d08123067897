"""Finds Chromium, which tests and tools start through Playwright."""

from __future__ import annotations

import shutil

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next((path for name in NAMES if (path := shutil.which(name))), None)
"""Path of the first program in NAMES that is on the PATH, or None."""
