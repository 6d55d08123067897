"""Reviews a Terraform plan: a verdict with reasons for each change, apparent renames, and cost."""
