"""Finds problems in an AWS account that would make a deployment fail, and suggests remedies."""
