"""HTTP requests and responses: routing, access rules, validation, idempotency and pagination."""
