"""Computes which limit an environment exceeds first and at how many users, and the monthly cost.

A limit is an AWS quota, or a setting of the stack such as a reserved concurrency.
"""
