"""Code shared by all Lambda functions. No module here depends on a service."""
