"""Runs the platform on this machine."""
