"""The authorizer of both APIs: tokens on REST, tickets on the WebSocket."""
