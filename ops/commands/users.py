"""user show, grant, revoke: a person's roles."""

from __future__ import annotations

from typing import Annotated

import typer

from ops.cloud import connect
from ops.commands.options import ROOT, EnvironmentArgument, JsonOption, RootOption
from ops.console import answer, out, say
from ops.root import Root
from ops.upkeep.users import Role, Users

app = typer.Typer(help="A person's roles.", no_args_is_help=True)
EmailArgument = Annotated[str, typer.Argument(help="The address they registered with.")]
TAKES_EFFECT = "it takes effect with their next login or token refresh, in 15 minutes at most while they are active"


@app.command()
def show(
    environment: EnvironmentArgument,
    email: EmailArgument,
    root: RootOption = ROOT,
    as_json: JsonOption = False,
) -> None:
    """Show who they are and which roles they have."""
    user = Users(connect(environment, Root(root))).show(email)
    if as_json:
        answer(user)
    else:
        for name, value in user.items():
            out.print(
                f"{name:<12} {', '.join(value) if isinstance(value, list) else value}", markup=False
            )


@app.command()
def grant(
    environment: EnvironmentArgument, email: EmailArgument, role: Role, root: RootOption = ROOT
) -> None:
    """Give a role."""
    changed = Users(connect(environment, Root(root))).grant(email, role)
    say(
        f"{email} is {role.value} now; {TAKES_EFFECT}"
        if changed
        else f"{email} is {role.value} already"
    )


@app.command()
def revoke(
    environment: EnvironmentArgument, email: EmailArgument, role: Role, root: RootOption = ROOT
) -> None:
    """Take a role away."""
    changed = Users(connect(environment, Root(root))).revoke(email, role)
    say(
        f"{email} is no longer {role.value}; {TAKES_EFFECT}"
        if changed
        else f"{email} is not {role.value}"
    )
