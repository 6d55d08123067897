"""`GET /health`: checks the databases and the cache that the platform depends on."""
