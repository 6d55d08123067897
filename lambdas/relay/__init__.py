"""The relay: brings the events of the outbox to the bus."""
