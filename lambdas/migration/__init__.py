"""Database migrations: a function invoked by operators and deployments, without an HTTP API."""
