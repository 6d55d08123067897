"""Reads the requests, steps and queues of an environment, and invokes functions by hand."""
