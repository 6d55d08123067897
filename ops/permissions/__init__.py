"""Compares the parts of IAM policies: actions, resources, principals and conditions."""
