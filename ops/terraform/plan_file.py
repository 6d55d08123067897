"""Reads a plan's JSON from a file in UTF-8, UTF-16 or UTF-32."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ops.errors import OperatorError
from ops.terraform.plan import Plan, read_plan

ARCHIVE = b"PK"
"""The first bytes of a ZIP archive, the format that `terraform plan -out` writes."""
ADVICE = "use the output of `terraform show -json PLAN`"


def is_plan_archive(file: Path) -> bool:
    """Returns True if the file is a plan in Terraform's own format, not in JSON.

    Raises:
        OperatorError: The file cannot be read.
    """
    return _bytes(file).startswith(ARCHIVE)


def read_plan_document(file: Path) -> Any:
    """Returns the JSON document in a file.

    Accepts UTF-8, UTF-16 and UTF-32, with or without a byte order mark.

    Raises:
        OperatorError: The file cannot be read, or does not contain exactly one document.
    """
    content = _bytes(file)
    if not content.strip():
        raise OperatorError(f"{file} is empty: {ADVICE}")
    try:
        text = content.decode(json.detect_encoding(content)).lstrip("\ufeff").strip()
    except UnicodeDecodeError as error:
        raise OperatorError(f"{file} is not a plan: {ADVICE}") from error
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise OperatorError(f"{file} {_problem(text, error)}: {ADVICE}") from error
    except ValueError as error:
        # Python refuses to parse integers of more than 4,300 digits.
        raise OperatorError(
            f"{file} contains a number that is too large for a plan: {ADVICE}"
        ) from error
    except RecursionError as error:
        raise OperatorError(f"{file} is nested too deeply to be a plan: {ADVICE}") from error


def _problem(text: str, error: json.JSONDecodeError) -> str:
    if not text.startswith("{"):
        if '"format_version"' in text:
            return (
                "contains other text before the plan's JSON (turn off the wrapper that prints the"
                " text, such as `terraform_wrapper` of setup-terraform)"
            )
        return "is not a plan in JSON"
    if error.msg == "Extra data":
        return "contains other text after the plan's JSON"
    if error.pos >= len(text.rstrip()) - 1 or error.msg.startswith("Unterminated"):
        return "is cut off: its JSON ends too early"
    return f"is not valid JSON (line {error.lineno}, column {error.colno})"


def read_plan_file(file: Path) -> Plan:
    """Reads a plan's JSON from a file.

    Raises:
        OperatorError: The file does not exist or does not contain a plan.
    """
    return read_plan(read_plan_document(file))


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError as error:
        raise OperatorError(f"The plan {file} does not exist: check its path") from error
    except OSError as error:
        raise OperatorError(f"The plan {file} cannot be read: {error.strerror}") from error
