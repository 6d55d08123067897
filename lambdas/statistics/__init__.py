"""The statistics function: keeps what profiles show of their users' posts, comments and likes, from events."""
