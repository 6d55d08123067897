"""Live delivery of chat frames to WebSocket connections."""
