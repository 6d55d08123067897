"""Measurements behind docs/benchmarks.md: `python -m bench.synth`, `bench.up`, `bench.plan`."""
