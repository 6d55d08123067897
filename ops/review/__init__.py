"""Reviews a Terraform plan: verdict and reasons for each change, renames, and cost."""
