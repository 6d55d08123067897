"""Packages the code of Lambda functions, and manages their published versions."""
