"""Posts, comments and likes: `/v1/posts`."""
