"""Sends the mix of requests of the capacity model to a running platform, at a planned rate."""
