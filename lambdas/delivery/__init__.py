"""Delivery of chat frames to big rooms, and again after a lost delivery."""
