"""Defines the result of a check."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from ops.cloud import Cloud

Status = Literal["ok", "warning", "failure"]


@dataclass(frozen=True)
class Result:
    """One result of a check, with a remedy if the operator has to do something."""

    status: Status
    """`failure`: a deployment would fail. `warning`: a limitation, or the check could not run."""
    detail: str
    remedy: str = ""
    """An instruction for the operator. Empty if no action is needed."""


@dataclass(frozen=True)
class Finding(Result):
    """A result and the subject of the check that returned it."""

    subject: str = ""

    def lines(self) -> list[str]:
        """Returns the lines of the report: the finding, and its remedy if it has one."""
        line = f"{self.status:<8} {self.subject:<28} {self.detail}"
        return [line, *([f"{'':<8} {'':<28} -> {self.remedy}"] if self.remedy else [])]


Check = Callable[[Cloud], Iterable[Result]]


def ok(detail: str) -> Result:
    return Result("ok", detail)


def warning(detail: str, remedy: str) -> Result:
    return Result("warning", detail, remedy)


def failure(detail: str, remedy: str) -> Result:
    return Result("failure", detail, remedy)
