"""The statistics function: counts the posts, comments and likes of users, from events."""
