"""Reads requests, their steps, and queues of an environment, and invokes functions on demand."""
