"""The function that migrates the database. Operators and deployments invoke it directly."""
