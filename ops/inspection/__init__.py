"""Reads the requests, their steps and the queues of an environment, and invokes functions."""
