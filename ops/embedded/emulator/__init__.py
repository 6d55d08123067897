"""ministack, the embedded AWS, with corrections: limits, durability, and responses that AWS sends.

It runs as a separate process without the project on its import path, so its modules import only
each other.
"""
