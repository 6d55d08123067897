"""Compares how independent emulators of AWS read the platform's stack."""
