"""Computes which limit an environment exceeds first, at how many users, and what a month costs.

A limit is an AWS quota, or a setting of the stack such as a reserved concurrency.
"""
