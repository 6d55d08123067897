"""Questions, summaries, translations and moderation: `/v1/ai`."""
