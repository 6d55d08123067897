"""Profiles, names and aliases of users, which several services use."""
