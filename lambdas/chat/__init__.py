"""Rooms and messages: `/v1/chat` and the WebSocket API."""
