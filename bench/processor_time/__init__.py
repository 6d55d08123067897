"""Measures the CPU time and the memory of the functions' processes, and writes processor.yml."""
