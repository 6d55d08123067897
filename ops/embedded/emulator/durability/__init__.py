"""Stores the state of the emulator, so that a kill loses at most one second of writes."""
