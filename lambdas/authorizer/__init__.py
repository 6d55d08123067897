"""The authorizer of both APIs: access tokens for REST, tickets for the WebSocket."""
