"""Runs ministack, the embedded AWS, and corrects it: limits, durability and wrong responses.

The emulator runs as a separate process without the project on its import path, so these modules
import only each other.
"""
