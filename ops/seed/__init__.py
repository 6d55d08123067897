"""Fills the platform on this machine with a small community for demonstrations."""

from ops.seed.command import delete_content, remove_community, seed_community

__all__ = ["delete_content", "remove_community", "seed_community"]
