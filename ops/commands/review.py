"""review, apply: what a plan does, and applying exactly what was reviewed."""

from __future__ import annotations

import enum
import functools
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ops.cloud import connect
from ops.commands.options import ROOT, EnvironmentArgument, JsonOption, RootOption
from ops.console import answer, out, say
from ops.errors import OperatorError
from ops.root import Root

if TYPE_CHECKING:
    from ops.review.receipt import Receipt
    from ops.review.review import Review
    from ops.terraform.stack_document import Synthesized

FAILED = 3
"""Exit status where the plan's verdict is at least --fail-on."""


class Format(enum.StrEnum):
    """How a review is written."""

    TEXT = "text"
    MARKDOWN = "markdown"
    HTML = "html"
    JSON = "json"


class Risk(enum.StrEnum):
    """The verdicts that --fail-on may name."""

    REVIEW = "review"
    DANGEROUS = "dangerous"
    IRREVERSIBLE = "irreversible"


def review(  # noqa: PLR0917 - typer takes options as arguments
    environment: EnvironmentArgument,
    plan: Annotated[
        Path | None,
        typer.Option(
            "--plan",
            metavar="FILE",
            help="A plan of `terraform plan -out`, or its JSON; one is made if none is given.",
        ),
    ] = None,
    form: Annotated[
        Format, typer.Option("--format", help="How the review is written.")
    ] = Format.TEXT,
    fail_on: Annotated[
        Risk | None,
        typer.Option(
            "--fail-on", help=f"End with status {FAILED} where the plan is called that or worse."
        ),
    ] = None,
    usage: Annotated[
        str,
        typer.Option(
            "--usage", metavar="FILE", help="The usage the cost is for: idle, 1m, 100m, or a file."
        ),
    ] = "1m",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Write the review there instead of printing it."
        ),
    ] = None,
    out_plan: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Keep the plan that is made there.")
    ] = None,
    refresh: Annotated[
        bool, typer.Option(help="Look at the resources themselves, not at the state alone.")
    ] = True,
    lock: Annotated[bool, typer.Option(help="Lock the state while planning.")] = True,
    checkov: Annotated[
        bool,
        typer.Option(
            "--checkov", help="Add what checkov finds in what changes and did not find before."
        ),
    ] = False,
    root: RootOption = ROOT,
) -> None:
    """Say what a plan changes, breaks, opens and costs, with a verdict on each change: safe, review, dangerous, irreversible."""
    from ops.cost.usage import load_usage  # noqa: PLC0415 - what only this verb needs
    from ops.review.run import review_file, review_new, say_where  # noqa: PLC0415

    place, used = Root(root), load_usage(usage)
    connected = functools.partial(connect, environment, place)
    if plan:
        reviewed = review_file(connected, environment, place, plan, used)
    else:
        options = [*([] if refresh else ["-refresh=false"]), *([] if lock else ["-lock=false"])]
        reviewed = review_new(connected(), place, used, file=out_plan, options=options)
    result = reviewed.review
    if checkov:
        from ops.review.checkov import with_checkov  # noqa: PLC0415

        result = with_checkov(result, reviewed.document)
    _write(result, reviewed.stack, form, output)
    say_where(reviewed)
    if fail_on:
        from ops.review.rules import Verdict  # noqa: PLC0415

        if result.verdict >= Verdict.named(fail_on):
            say(f"The plan is called {result.verdict}, and --fail-on is {fail_on}")
            raise typer.Exit(FAILED)


def _write(result: Review, stack: Synthesized | None, form: Format, output: Path | None) -> None:
    """Prints the review, or writes it to a file."""
    if form is Format.TEXT and output is None:
        from ops.review.text import review_lines  # noqa: PLC0415

        for line in review_lines(result):
            out.print(line)
        return
    text = _rendered(result, stack, form)
    if output:
        output.write_text(text, encoding="utf-8")
        say(f"Wrote {output}: {result.says()}")
    else:
        sys.stdout.write(text)


def _rendered(result: Review, stack: Synthesized | None, form: Format) -> str:
    if form is Format.TEXT:
        from ops.review.text import review_lines  # noqa: PLC0415

        return "".join(f"{line.plain}\n" for line in review_lines(result))
    if form is Format.MARKDOWN:
        from ops.review.markdown import review_markdown  # noqa: PLC0415

        return review_markdown(result)
    if form is Format.JSON:
        from ops.review.document import review_document  # noqa: PLC0415

        return json.dumps(review_document(result), indent=2, sort_keys=True) + "\n"
    from ops.review.html import review_html  # noqa: PLC0415

    return review_html(result, stack)


def apply(
    environment: EnvironmentArgument,
    reviewed: Annotated[
        Path,
        typer.Option("--reviewed", metavar="FILE", help="The plan that `ops review` reviewed."),
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before applying.")] = False,
    root: RootOption = ROOT,
    as_json: JsonOption = False,
) -> None:
    """Apply exactly the plan that was reviewed; refuse any other, and one whose state has changed since."""
    from ops.review.run import apply_reviewed  # noqa: PLC0415 - what only this verb needs
    from ops.terraform.runner import changes  # noqa: PLC0415

    def confirm(receipt: Receipt) -> None:
        say(f"Reviewed plan for {environment}: {receipt.summary}")
        for address, verb in sorted(receipt.destroys.items()):
            say(f"  {verb} {address}")
        if not yes and any(receipt.counts.values()) and not typer.confirm("Apply it?", err=True):
            raise OperatorError("Not applied")

    cloud = connect(environment, Root(root))
    applied = apply_reviewed(cloud, Root(root), reviewed, confirm)
    say(f"Applied: {changes(applied.counts)}")
    if "next_step" in applied.outputs:
        say(str(applied.outputs["next_step"]))
    if as_json:
        answer({"environment": environment, "changes": applied.counts})


def register(app: typer.Typer) -> None:
    """Adds the verbs of this group."""
    app.command()(review)
    app.command()(apply)
