"""Computes which limit an environment meets first, at how many users, and what that costs."""
