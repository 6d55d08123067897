"""Deploys, promotes, compares and destroys whole environments."""
