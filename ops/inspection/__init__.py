"""Reads what an environment is doing: requests, waterfalls, queues, and invocations by hand."""
