"""The functions behind the platform's APIs: one package per function, shared code in `common`."""
