"""Defines the commands review and apply: review a plan, and apply exactly the reviewed plan."""

from __future__ import annotations

import enum
import functools
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ops.cloud import connect
from ops.commands.options import (
    ROOT,
    EnvironmentArgument,
    JsonOption,
    RootOption,
    ask_confirmation,
)
from ops.console import out, print_json, print_text, report
from ops.errors import OperatorError
from ops.root import write_json, write_text

if TYPE_CHECKING:
    from ops.review.receipt import Receipt
    from ops.review.review import Review
    from ops.terraform.stack_document import Synthesized

FAILED = 3
"""Exit status if the verdict on the plan is the one in --fail-on or more severe."""


class Format(enum.StrEnum):
    """Output formats of a review."""

    TEXT = "text"
    MARKDOWN = "markdown"
    HTML = "html"
    JSON = "json"


class Risk(enum.StrEnum):
    """Verdicts that --fail-on accepts."""

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
            exists=True,
            dir_okay=False,
            help="Plan from `terraform plan -out`, or its JSON; the default is a new plan.",
        ),
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="Output format.")] = Format.TEXT,
    fail_on: Annotated[
        Risk | None,
        typer.Option(
            "--fail-on",
            help=f"Exit with status {FAILED} if the verdict is this or more severe.",
        ),
    ] = None,
    usage: Annotated[
        str,
        typer.Option(
            "--usage",
            metavar="FILE",
            help="Usage for the cost estimate: idle, 1m, 100m, or a file.",
        ),
    ] = "1m",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write the review to this file."),
    ] = None,
    out_plan: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Save the new plan to this file.")
    ] = None,
    offline: Annotated[
        bool,
        typer.Option(
            "--offline",
            help="Compare the checkout with a commit. Needs no AWS account and no Terraform state.",
        ),
    ] = False,
    base: Annotated[
        str,
        typer.Option("--base", metavar="COMMIT", help="The commit with which --offline compares."),
    ] = "HEAD",
    refresh: Annotated[bool, typer.Option(help="Refresh the state before planning.")] = True,
    lock: Annotated[bool, typer.Option(help="Lock the state while planning.")] = True,
    checkov: Annotated[
        bool | None,
        typer.Option(
            "--checkov/--no-checkov",
            help="Include new findings of checkov, or omit them. The default includes them if"
            " checkov is installed. With --plan and in emulated environments, the default omits"
            " them.",
        ),
    ] = None,
    root: RootOption = ROOT,
) -> None:
    """Review a plan: its changes, outages, access and cost, with a verdict on each change.

    The verdicts are safe, review, dangerous and irreversible. Exit status 3 means that the verdict
    is the one in --fail-on or more severe. The option --offline needs no AWS account: it reviews
    the changes of the checkout since a commit.
    """
    if offline and (plan or out_plan):
        raise typer.BadParameter(
            "--offline cannot be combined with --plan or --out", param_hint="--offline"
        )
    from ops.cost.usage import load_usage  # noqa: PLC0415 - only this command needs it
    from ops.review.checkov import uses_checkov, with_checkov  # noqa: PLC0415
    from ops.review.run import (  # noqa: PLC0415
        is_emulated,
        print_apply_command,
        review_file,
        review_new,
        review_offline,
    )

    used = load_usage(usage)
    connected = functools.partial(connect, environment, root)
    if offline:
        reviewed = review_offline(environment, root, used, base)
    elif plan:
        reviewed = review_file(connected, environment, root, plan, used)
    else:
        options = [*([] if refresh else ["-refresh=false"]), *([] if lock else ["-lock=false"])]
        reviewed = review_new(connected(), root, used, file=out_plan, options=options)
    result = reviewed.review
    if uses_checkov(checkov, is_new_plan=plan is None, emulated=is_emulated(environment)):
        report("Checking the plan with checkov, about 10 s; --no-checkov omits this")
        result = with_checkov(result, reviewed.document)
    if not offline:
        _store_for_console(result, reviewed.stack, root.reports(environment))
    _write(result, reviewed.stack, form, output)
    print_apply_command(reviewed)
    if fail_on:
        from ops.review.rules import Verdict  # noqa: PLC0415

        if result.verdict >= Verdict.named(fail_on):
            report(f"The verdict is {result.verdict}, and --fail-on is {fail_on}")
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
        try:
            output.parent.mkdir(parents=True, exist_ok=True)
            write_text(output, text)
        except OSError as error:
            raise OperatorError(f"{output} cannot be written: {error.strerror}") from error
        report(f"Wrote {output}: {result.summary}")
    else:
        print_text(text)


def _store_for_console(result: Review, stack: Synthesized | None, directory: Path) -> None:
    """Stores a review's HTML page and the current time. The web console shows both."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        write_text(directory / "review.html", _rendered(result, stack, Format.HTML))
        write_json(directory / "review.json", {"time": time.time(), "value": None})
    except OSError as error:
        report(
            f"{directory} cannot be written ({error.strerror}), so the web console does not show"
            " this review"
        )


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
    from ops.review.report.html import review_html  # noqa: PLC0415

    return review_html(result, stack)


def apply(
    environment: EnvironmentArgument,
    reviewed: Annotated[
        Path,
        typer.Option(
            "--reviewed",
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="Plan that `ops review` reviewed.",
        ),
    ],
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Apply without asking for confirmation.")
    ] = False,
    root: RootOption = ROOT,
    as_json: JsonOption = False,
) -> None:
    """Apply a plan that `ops review` reviewed.

    Fails if the plan was not reviewed, or if the state has changed since the review.
    """
    from ops.review.run import apply_reviewed  # noqa: PLC0415 - only this command needs it
    from ops.terraform.runner import describe_counts  # noqa: PLC0415

    def confirm(receipt: Receipt) -> None:
        report(f"Changes in the reviewed plan for {environment}: {receipt.summary}")
        for address, verb in sorted(receipt.destroys.items()):
            report(f"  {verb} {address}")
        if not yes and any(receipt.counts.values()) and not ask_confirmation("Apply it?"):
            raise OperatorError("Not applied, because the operator declined")

    cloud = connect(environment, root)
    applied = apply_reviewed(cloud, root, reviewed, confirm)
    report(f"Applied: {describe_counts(applied.counts)}")
    if "next_step" in applied.outputs:
        report(str(applied.outputs["next_step"]))
    if as_json:
        print_json({"environment": environment, "changes": applied.counts})
