"""Delivers chat frames (WebSocket messages) to large rooms, and repeats lost deliveries."""
