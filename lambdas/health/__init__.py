"""`GET /health`: whether what the platform depends on answers."""
