"""One construct for each Lambda service: its function, permissions, routes and event sources."""
