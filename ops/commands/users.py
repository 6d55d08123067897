"""Manage the roles of a user."""

from __future__ import annotations

from typing import Annotated

import typer

from ops.cloud import connect
from ops.commands.options import ROOT, EnvironmentArgument, JsonOption, RootOption, check_email
from ops.console import print_result, report
from ops.upkeep.users import Role, Users

app = typer.Typer(
    help=__doc__, no_args_is_help=True, add_completion=False, rich_markup_mode="markdown"
)
EmailArgument = Annotated[
    str, typer.Argument(help="Email address of the user's account.", callback=check_email)
]
TAKES_EFFECT = (
    "it takes effect at the next login or token refresh, within 15 minutes for an active user"
)


@app.command()
def show(
    environment: EnvironmentArgument,
    email: EmailArgument,
    root: RootOption = ROOT,
    as_json: JsonOption = False,
) -> None:
    """Show the account and roles of a user."""
    user = Users(connect(environment, root)).show(email)
    lines = [
        f"{name:<12} {', '.join(value) if isinstance(value, list) else value}"
        for name, value in user.items()
    ]
    print_result(user, lines, as_json=as_json)


@app.command()
def grant(
    environment: EnvironmentArgument, email: EmailArgument, role: Role, root: RootOption = ROOT
) -> None:
    """Grant a role to a user."""
    changed = Users(connect(environment, root)).grant(email, role)
    report(
        f"Granted {role.value} to {email}; {TAKES_EFFECT}"
        if changed
        else f"{email} already has the role {role.value}"
    )


@app.command()
def revoke(
    environment: EnvironmentArgument, email: EmailArgument, role: Role, root: RootOption = ROOT
) -> None:
    """Revoke a role from a user."""
    changed = Users(connect(environment, root)).revoke(email, role)
    report(
        f"Revoked {role.value} from {email}; {TAKES_EFFECT}"
        if changed
        else f"{email} does not have the role {role.value}"
    )
