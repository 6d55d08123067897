"""Simulates the three paths that are hardest to compute, to check the results of `ops capacity`."""
