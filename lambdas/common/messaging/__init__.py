"""Domain events: their publisher, the outbox, the relay, and the queue consumer."""
