"""Terraform: its runner, state, synthesized stacks, plans and the policies inside them."""
