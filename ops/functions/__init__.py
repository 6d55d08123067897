"""Code and published versions of the Lambda functions."""
