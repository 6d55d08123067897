"""Data stores: DynamoDB, PostgreSQL, the cache and uploads to S3."""
