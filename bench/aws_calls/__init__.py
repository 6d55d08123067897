"""Counts the AWS calls that every route and event causes. The counts are the same on every run."""
