"""Fills the platform on this machine with a small community for demonstrations."""

from ops.seed.command import remove_community, seed_community

__all__ = ["remove_community", "seed_community"]
