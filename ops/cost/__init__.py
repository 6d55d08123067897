"""Computes the monthly cost of an environment from its stack or plan and a usage file."""
