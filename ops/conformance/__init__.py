"""Checks that an AWS emulator returns the same results as AWS for the platform's calls."""
