"""Simulates the three hardest paths event by event, to check the arithmetic of `ops capacity`."""
