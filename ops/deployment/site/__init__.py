"""Publishes a built front end, and builds the site that comes with the project."""
