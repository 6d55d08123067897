"""Counts the AWS calls of every route and event, which are the same on every run."""
