"""Delivers chat frames to large rooms, and messages whose delivery was lost."""
