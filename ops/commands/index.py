"""Lists all commands, and loads the module of a command when it is used.

Importing every module would take about a second, mostly for AWS's SDK.
"""

from __future__ import annotations

import ast
import functools
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup

from ops.console import suggest
from ops.durations import estimated
from ops.root import PROJECT


@dataclass(frozen=True)
class Entry:
    """A command of the command line, or a group of commands."""

    name: str
    target: str
    """`module:function`, or `module:app` for a group of commands (a typer app).

    The module is in this package unless its name contains a dot.
    """
    panel: str
    """The heading of the command's panel in the help."""
    example: str
    duration: float | Mapping[str, float] | None
    """Estimated seconds that the command takes, used until its duration on this machine is known.

    None for a command that takes less than two seconds, or that runs until it is interrupted. For a
    group, the seconds of its longer commands by name.
    """
    next_step: str = ""
    """What to do after the command has succeeded. Can contain the command's arguments."""

    @property
    def _module(self) -> str:
        name = self.target.partition(":")[0]
        return name if "." in name else f"{__package__}.{name}"

    @property
    def _attribute(self) -> str:
        return self.target.partition(":")[2]

    def load(self) -> Any:
        """Imports the command's module and returns the command."""
        target = getattr(importlib.import_module(self._module), self._attribute)
        epilog = f"Example: `{self.example}`"
        if isinstance(target, typer.Typer):
            target.info.epilog = epilog
            group: Any = typer.main.get_command(target)
            durations = self.duration if isinstance(self.duration, Mapping) else {}
            for name, seconds in durations.items():
                command = group.commands[name]
                command.callback = _estimate(f"{self.name} {name}", seconds, command.callback)
            return group
        app = typer.Typer(add_completion=False, rich_markup_mode="markdown")
        app.command(self.name, epilog=epilog)(target)
        command = typer.main.get_command(app)
        if self.duration and not isinstance(self.duration, Mapping):
            command.callback = _estimate(self.name, self.duration, command.callback)
        if self.next_step:
            command.callback = self._suggest_next_step(command.callback)
        return command

    def _suggest_next_step(self, execute: Any) -> Any:
        def run(**arguments: Any) -> Any:
            try:
                result = execute(**arguments)
            except typer.Exit as ended:
                if ended.exit_code == 0:
                    suggest(self.next_step.format(**arguments))
                raise
            suggest(self.next_step.format(**arguments))
            return result

        return run

    def summary(self) -> TyperCommand:
        """Returns a command that has only a help text, to list it without importing its module."""
        text = _docstring(self._module, self._attribute)
        return TyperCommand(self.name, help=text, rich_help_panel=self.panel)


def _estimate(name: str, seconds: float, execute: Any) -> Any:
    """Returns a function that shows progress with an estimate while it executes a command."""

    @functools.wraps(execute)
    def run(**arguments: Any) -> Any:
        result, ended = None, None
        with estimated(name, arguments, seconds):
            try:
                result = execute(**arguments)
            except typer.Exit as error:
                # A command that ran to its end can also raise typer.Exit: `ops drift` always does.
                ended = error
        if ended:
            raise ended
        return result

    return run


@functools.cache
def _syntax(module: str) -> ast.Module:
    file = PROJECT.joinpath(*module.split(".")).with_suffix(".py")
    return ast.parse(file.read_text(encoding="utf-8"))


def _docstring(module: str, function: str) -> str:
    """Returns the first paragraph of the function's docstring.

    A command group has no such function. For a group, uses the module's docstring.
    """
    tree = _syntax(module)
    definitions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    text = ast.get_docstring(definitions.get(function, tree)) or ""
    return " ".join(text.partition("\n\n")[0].split())


MACHINE, DEPLOY, RELEASE, DATA, REVIEW, DEVELOP = (
    "This machine",
    "Deploy",
    "Release",
    "Data",
    "Review",
    "Develop",
)

ENTRIES = (
    Entry(
        "up",
        "local:up",
        MACHINE,
        "ops up",
        90,
        "ops seed (demonstration data), ops dev (deploys functions as you save them)",
    ),
    Entry("down", "local:down", MACHINE, "ops down --purge", 5),
    Entry("status", "local:status", MACHINE, "ops status", None),
    Entry("code", "local:code", MACHINE, "ops code ada@example.com", None),
    Entry("seed", "local:seed", MACHINE, "ops seed", 15, "ops status (prints the addresses)"),
    Entry("console", "web_console:console", MACHINE, "ops console dev", None),
    Entry("conformance", "conformance:conformance", MACHINE, "ops conformance --service sqs", 20),
    Entry(
        "bootstrap",
        "environment:bootstrap",
        DEPLOY,
        "ops bootstrap dev",
        30,
        "ops doctor {environment}",
    ),
    Entry("doctor", "deployment:doctor", DEPLOY, "ops doctor prod", 20, "ops deploy {environment}"),
    Entry(
        "deploy",
        "deployment:deploy",
        DEPLOY,
        "ops deploy dev --yes",
        600,
        "ops smoke {environment}",
    ),
    Entry(
        "promote",
        "deployment:promote",
        DEPLOY,
        "ops promote dev staging",
        1500,
        "ops rollback {target} all (if an alarm fires)",
    ),
    Entry("drift", "deployment:drift", DEPLOY, "ops drift prod", 60),
    Entry("remove", "deployment:remove", DEPLOY, "ops remove dev", 600),
    Entry(
        "publish-site",
        "deployment:publish_site",
        DEPLOY,
        "ops publish-site dev",
        20,
        "ops publish-site {environment} --rollback (if the site is wrong)",
    ),
    Entry(
        "release",
        "releases:release",
        RELEASE,
        "ops release staging chat --bake 5m",
        700,
        "ops rollback {environment} {service} (if an alarm fires)",
    ),
    Entry(
        "rollback",
        "releases:rollback",
        RELEASE,
        "ops rollback prod all",
        10,
        "ops tail {environment}",
    ),
    Entry("prune", "releases:prune", RELEASE, "ops prune prod --keep 5", 20),
    Entry("smoke", "releases:smoke", RELEASE, "ops smoke staging", 30),
    Entry("migrate", "upkeep:migrate", DATA, "ops migrate dev --plan", 20),
    Entry("restore-drill", "upkeep:restore_drill", DATA, "ops restore-drill prod", 900),
    Entry("redrive", "upkeep:redrive", DATA, "ops redrive prod profile-events", 20),
    Entry("queue", "queues:app", DATA, "ops queue peek prod profile-events-dlq", None),
    Entry("secrets", "secrets:app", DATA, "ops secrets list prod", None),
    Entry("user", "users:app", DATA, "ops user grant dev ada@example.com moderator", None),
    Entry("review", "review:review", REVIEW, "ops review prod --format html -o review.html", 60),
    Entry(
        "apply",
        "review:apply",
        REVIEW,
        "ops apply prod --reviewed prod.plan",
        300,
        "ops smoke {environment}",
    ),
    Entry("cost", "cost:cost", REVIEW, "ops cost prod --usage 1m", 10),
    Entry("capacity", "capacity:capacity", REVIEW, "ops capacity prod --users 1000000", 10),
    Entry("diagram", "diagram:diagram", REVIEW, "ops diagram prod --format svg -o prod.svg", 10),
    Entry("new", "new:app", DEVELOP, "ops new service notes", {"service": 30}),
    Entry(
        "environment",
        "environment:app",
        DEVELOP,
        "ops environment new qa --like staging",
        {"diff": 10},
    ),
    Entry("dev", "local:dev", DEVELOP, "ops dev", None),
    Entry("logs", "environment:logs", DEVELOP, "ops logs chat --follow", None),
    Entry("tail", "requests:tail", DEVELOP, "ops tail local chat delivery", None),
    Entry("trace", "requests:trace", DEVELOP, "ops trace 4f1c2a9e --env dev", 5),
    Entry("invoke", "requests:invoke", DEVELOP, "ops invoke local post --example limit=1", None),
    Entry(
        "deploy-function",
        "releases:deploy_function",
        DEVELOP,
        "ops deploy-function dev chat",
        20,
        "ops tail {environment}",
    ),
    Entry("api", "tools.api.command:api", DEVELOP, "ops api", 15),
    Entry(
        "synth",
        "environment:synth",
        DEVELOP,
        "ops synth dev prod",
        10,
        "ops review ENVIRONMENT, ops cost ENVIRONMENT",
    ),
    Entry("env", "environment:env", DEVELOP, 'eval "$(ops env local)"', None),
)
"""All commands, in the order of the help."""


class LazyGroup(TyperGroup):
    """The group of all commands. Listing them does not import their modules."""

    _entries: ClassVar = {entry.name: entry for entry in ENTRIES}
    _is_listing = False

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # Typer suggests the name of one of these commands for a misspelled command.
        self.commands = dict.fromkeys(self._entries, TyperCommand(None))

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the base class's signature
        return list(self._entries)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        entry = self._entries.get(cmd_name)
        if entry is None:
            return None
        return entry.summary() if self._is_listing else entry.load()

    def format_help(self, ctx: Any, formatter: Any) -> None:
        self._is_listing = True
        super().format_help(ctx, formatter)

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        self._is_listing = True
        return super().shell_complete(ctx, incomplete)
