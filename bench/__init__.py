"""Benchmarks whose results are in docs/benchmarks.md, for example `python -m bench.synth`."""

from __future__ import annotations

import argparse


def create_parser(description: str | None) -> argparse.ArgumentParser:
    """Returns an argument parser whose help shows `description` with its line breaks."""
    return argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
