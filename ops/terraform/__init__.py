"""Runs Terraform, and reads its state, stacks, plans and the IAM policies in plans."""
