"""Building blocks: each wraps one AWS resource with this platform's safe defaults."""
