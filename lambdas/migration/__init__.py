"""Database migrations: a function invoked by operators and deployments, without HTTP API."""
