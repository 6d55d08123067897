"""Domain events: the event bus, the outbox and the queue consumers."""
