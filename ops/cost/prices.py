"""Loads the price table, prices.yml."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Mapping
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, model_validator

FILE = Path(__file__).with_name("prices.yml")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tier(_Strict):
    """A unit price that applies until the monthly quantity reaches `up_to`."""

    usd: float
    up_to: float | None = None
    """The monthly quantity at which the tier ends, in the price's unit. None for the last tier."""


class Price(_Strict):
    """A unit price, possibly in tiers."""

    source: str
    """The name of a source in the price table's `sources`."""
    unit: str
    per: float = 1
    """The number of units that cost `usd`."""
    tiers: tuple[Tier, ...]

    @model_validator(mode="before")
    @classmethod
    def _one_tier(cls, document: dict[str, object]) -> dict[str, object]:
        if "usd" not in document:
            return document
        return {
            **{key: value for key, value in document.items() if key != "usd"},
            "tiers": [{"usd": document["usd"]}],
        }

    def usd(self, quantity: float) -> float:
        """Returns the cost of a monthly quantity in US dollars."""
        total, below = 0.0, 0.0
        for tier in self.tiers:
            end = quantity if tier.up_to is None else min(quantity, tier.up_to)
            total += max(0.0, end - below) / self.per * tier.usd
            below = max(below, end)
        return total

    def text(self) -> str:
        """Returns the price of the first tier, for example `0.2 USD for 1,000,000 requests`."""
        amount = f"{self.per:,.0f} " if self.per != 1 else ""
        return (
            f"{self.tiers[0].usd:.10f}".rstrip("0").rstrip(".")
            + f" USD for {amount or '1 '}{self.unit}"
        )


class Prices(_Strict):
    """The contents of prices.yml."""

    region: str
    currency: str
    read: datetime.date
    """The day on which the prices were copied from AWS."""
    sources: Mapping[str, str]
    prices: Mapping[str, Price]
    free: frozenset[str]
    """Resource types that have no charge."""

    @model_validator(mode="after")
    def _check_table(self) -> Prices:
        for name, price in self.prices.items():
            if price.source not in self.sources:
                raise ValueError(f"Price {name} has the unknown source {price.source}")
            ends = [tier.up_to for tier in price.tiers]
            if ends[-1] is not None or any(end is None for end in ends[:-1]):
                raise ValueError(f"Price {name}: every tier except the last needs `up_to`")
        return self


@functools.cache
def load_prices(file: Path = FILE) -> Prices:
    """Returns the price table of a file (default: the project's prices.yml)."""
    return Prices.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
