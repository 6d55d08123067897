"""Benchmarks whose results are in docs/benchmarks.md, for example `python -m bench.synth`."""
