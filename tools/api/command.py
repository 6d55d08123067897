"""The command `ops api`, which generates the descriptions of the API."""

from __future__ import annotations

from typing import Annotated

import typer

from ops.console import report
from ops.errors import OperatorError
from ops.root import PROJECT
from tools.api import documents


def api(
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Write nothing. Fail if a file is stale, or if a change breaks clients of the "
            "last release and docs/api/breaking-changes.md does not list it.",
        ),
    ] = False,
    release: Annotated[
        bool,
        typer.Option(
            "--release",
            help="Also copy the descriptions to docs/api/released, as those of the last release. "
            "Later runs compare changes with this copy.",
        ),
    ] = False,
) -> None:
    """Generate the API's descriptions, schemas of events and reference pages in docs/api.

    They are generated from the route tables, docstrings, and request and response types of the
    functions.
    """
    if check:
        stale = documents.find_stale()
        undeclared, obsolete = documents.find_undeclared_changes()
        problems = [f"docs/api/{name} is stale: run `ops api`" for name in stale]
        problems += [
            f"{change}: list this in docs/api/{documents.DECLARED}" for change in undeclared
        ]
        problems += [
            f"{change}: the API has no such change, remove it from docs/api/{documents.DECLARED}"
            for change in obsolete
        ]
        if problems:
            raise OperatorError("\n".join(problems))
        return
    files = documents.write_documents()
    if release:
        documents.release_documents()
    report(f"Wrote {len(files)} files to {documents.DIRECTORY.relative_to(PROJECT)}")
