"""Shifts traffic between versions of functions: releases, bake periods, rollbacks and their
ledger.
"""
