"""Building blocks with safe defaults: each wraps one AWS thing the way this platform always wants it."""
