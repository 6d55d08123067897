"""Terraform: its runner, state, synthesized stacks, plans and the IAM policies in them."""
