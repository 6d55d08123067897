"""The statistics function: receives events and counts the posts, comments and likes of users."""
