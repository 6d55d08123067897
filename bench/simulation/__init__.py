"""Simulates a large room, the timeline and an outage, to check the results of `ops capacity`."""
