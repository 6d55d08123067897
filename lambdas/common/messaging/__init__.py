"""Domain events: publisher, outbox, relay from the outbox to the bus, and queue consumer."""
