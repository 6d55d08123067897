"""The functions behind the platform's APIs: one package per function, and what they share in `common`."""
