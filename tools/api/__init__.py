"""Generates the machine-readable descriptions of the API from the code that serves it."""
