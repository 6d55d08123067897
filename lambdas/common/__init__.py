"""What every function shares: each module has one reason to change, and none knows a service."""
