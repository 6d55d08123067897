"""Profiles, names and aliases of users, as several services read them."""
