"""Finds problems of an account that would make a deployment fail, and names their remedies."""
