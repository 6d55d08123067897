"""Checks that an AWS emulator returns what AWS does for the calls that the platform makes."""
