"""Delivery of chat frames: what big rooms are sent, and what got lost on its way."""
