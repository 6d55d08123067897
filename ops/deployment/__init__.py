"""Deploys, promotes and destroys whole environments, and detects their drift."""
