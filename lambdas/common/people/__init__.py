"""Profiles, names and aliases of users, as shared by several services."""
