"""The Lambda functions. Each has a package, and `common` contains the code that they share."""
