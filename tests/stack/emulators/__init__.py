"""Applies the platform's stack to an independent emulator of AWS, and lists its errors."""
