"""Database migrations: a function that operators and deployments invoke, with no HTTP in front of it."""
