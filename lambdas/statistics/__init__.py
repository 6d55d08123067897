"""The statistics function: counts posts, comments and likes in profiles, from events."""
