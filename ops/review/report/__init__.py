"""The HTML report of a review: its page, style, script and architecture diagram."""
