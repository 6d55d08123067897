"""The relay: sends the events that services store in the outbox table to the event bus."""
