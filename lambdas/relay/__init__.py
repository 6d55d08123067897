"""The relay: publishes the events of the outbox on the bus."""
