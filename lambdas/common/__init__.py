"""Code shared by all functions. No module here depends on a service."""
