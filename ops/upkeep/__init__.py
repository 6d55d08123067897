"""Maintenance of a running environment: restore drills, redrives, secrets, users and logs."""
