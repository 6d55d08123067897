"""Deploys, promotes, compares and removes a whole environment."""
