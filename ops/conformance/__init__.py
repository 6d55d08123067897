"""Checks that an AWS emulator returns the results of AWS for the calls that the platform makes."""
