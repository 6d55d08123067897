"""Profiles, settings, avatars and anonymous aliases: `/v1/profile`."""
