"""The platform's two APIs: REST and WebSocket."""
