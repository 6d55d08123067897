"""One construct per Lambda service: its function, permissions, routes and event sources."""
