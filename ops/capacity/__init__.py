"""Computes which limit an environment exceeds first, at how many users, and what those users
cost.
"""
