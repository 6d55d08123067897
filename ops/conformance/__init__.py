"""Checks that an endpoint behaves like AWS in the calls on which the stack and functions depend."""
