"""Reads the parts of IAM policies and compares them: actions, resources, principals, conditions."""
