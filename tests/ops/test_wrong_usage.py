"""Tests that each wrong usage of a command ends with one message.

The message says where the error is, which value is wrong, and what to do.
"""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest
from typer.core import TyperGroup

from ops.__main__ import app, main
from ops.commands.index import ENTRIES
from ops.root import Root

ENVIRONMENTS = "use dev, local, prod or staging"
WITH_EXAMPLES = "use dev, local, prod, staging"
FUNCTIONS = "is not a function: use ai, auth, "
DURATION = "is not a duration: use seconds or minutes, for example 90s or 5m"
AGE = "is not a duration: use a number and s, m, h or d, such as 10m"
ADDRESS = "is not an email address: use one such as ann@example.com"
STOPPED = "The platform is not running on this machine: start it with `make up`"

# Each line has a command, its exit status, and parts of its message after `|`.
USAGES = f"""
deplyo dev                              2 | deplyo | Did you mean 'deploy'?
--verbose                               2 | --verbose | --version
up --root /proc/nothing                 1 | /proc/nothing is not writable | with --root
up --root /dev/null                     1 | /dev/null is not writable | with --root
up --root                               2 | '--root' requires an argument
down --root /dev/null                   1 | /dev/null | check the path
down --purge --root /usr                1 | /usr was not created by the platform | correct --root
status --env nowhere                    2 | --env | 'nowhere' | {ENVIRONMENTS}
status --env stagin                     2 | 'stagin' | did you mean staging?
code                                    2 | Missing argument 'email' | ops code --help
code not-an-address                     2 | email | "not-an-address" | {ADDRESS}
code ann@example.com                    1 | {STOPPED}
seed dev                                2 | 'dev' | use local
conformance --endpoint not-a-url        2 | --endpoint | 'not-a-url' | such as http://
conformance --service nothing           1 | {STOPPED}
bootstrap nowhere                       2 | ENVIRONMENT | 'nowhere' | {ENVIRONMENTS}
bootstrap local                         1 | {STOPPED}
doctor ../prod                          2 | '../prod' | did you mean prod?
doctor PROD                             2 | 'PROD' | {ENVIRONMENTS}
deploy                                  2 | Missing argument 'ENVIRONMENT' | ops deploy --help
deploy scale                            2 | 'scale' is an example | ops environment new
deploy dev staging                      2 | unexpected extra argument | staging
deploy dev --weight 0                   2 | --weight | '0' is not a whole number from 1 to 99
deploy dev --weight ten                 2 | --weight | 'ten' is not a whole number from 1 to 99
deploy dev --weight 100                 2 | --weight | '100'
deploy dev --bake 5x                    2 | --bake | '5x' {DURATION}
deploy dev --bake -5m                   2 | --bake | '-5m' {DURATION}
promote dev                             2 | Missing argument 'TO' | ops promote --help
promote nowhere staging                 2 | FROM | 'nowhere' | {ENVIRONMENTS}
promote dev nowhere                     2 | TO | 'nowhere' | {ENVIRONMENTS}
promote dev staging --passed everything 2 | --passed | everything | use tests, integration, smoke
promote dev staging --bake soon         2 | --bake | 'soon' {DURATION}
drift nowhere                           2 | 'nowhere' | {ENVIRONMENTS}
drift dev prod                          2 | unexpected extra argument | prod
remove nowhere                          2 | 'nowhere' | {ENVIRONMENTS}
publish-site nowhere                    2 | 'nowhere' | {ENVIRONMENTS}
publish-site dev /missing               2 | DIRECTORY | '/missing' does not exist
publish-site dev /etc/passwd            2 | DIRECTORY | '/etc/passwd' is a file
publish-site dev . --rollback           2 | --rollback | cannot be combined
release dev                             2 | Missing argument 'SERVICE' | ops release --help
release dev nothing                     2 | SERVICE | 'nothing' {FUNCTIONS}
release nowhere auth                    2 | 'nowhere' | {ENVIRONMENTS}
release dev auth --weight 1.5           2 | --weight | '1.5' is not a whole number
rollback dev nothing                    2 | SERVICE | 'nothing' {FUNCTIONS}
rollback dev auth --to zero             2 | --to | 'zero' is not a whole number from 1 upwards
rollback dev auth --to -1               2 | --to | '-1'
prune dev --keep 0                      2 | --keep | '0' is not a whole number from 1 upwards
smoke nowhere                           2 | 'nowhere' | {ENVIRONMENTS}
smoke                                   2 | Missing argument 'ENVIRONMENT' | ops smoke --help
migrate nowhere                         2 | 'nowhere' | {ENVIRONMENTS}
migrate dev --plan=yes                  2 | '--plan' does not take a value
restore-drill nowhere                   2 | 'nowhere' | {ENVIRONMENTS}
redrive nowhere                         2 | 'nowhere' | {ENVIRONMENTS}
queue peek dev                          2 | Missing argument 'queue' | ops queue peek --help
queue peek dev x --limit 0              2 | --limit | '0' is not a whole number from 1 to 1000
secrets list nowhere                    2 | 'nowhere' | {ENVIRONMENTS}
secrets set dev                         2 | Missing argument 'name' | ops secrets set --help
secrets show dev jwt-secret             2 | No such command 'show' | ops secrets --help
user show dev not-an-address            2 | "not-an-address" | {ADDRESS}
user grant dev ann@example.com          2 | Missing argument 'role' | moderator | admin
user grant dev ann@example.com emperor  2 | 'emperor' is not one of 'moderator', 'admin'
review nowhere                          2 | 'nowhere' | {ENVIRONMENTS}
review dev --format pdf                 2 | --format | 'pdf' is not one of 'text'
review dev --fail-on bad                2 | --fail-on | 'bad' is not one of 'review'
review dev --plan /missing.plan         2 | --plan | '/missing.plan' does not exist
review dev --plan /etc/hostname         1 | /etc/hostname is not a plan | terraform show -json
review dev --offline --out x            2 | --offline | cannot be combined with --plan or --out
review dev --offline --base nothing     1 | 'nothing' is not a commit | use a hash, branch or tag
review dev --usage 7m                   1 | 7m does not exist | one of 100m, 1m, idle
apply dev                               2 | Missing option '--reviewed' | ops apply --help
apply dev --reviewed /missing.plan      2 | --reviewed | '/missing.plan' does not exist
cost nowhere                            2 | 'nowhere' | {WITH_EXAMPLES}
cost dev --usage /etc/hostname          1 | /etc/hostname is not a usage file | 1m.yml
cost dev --compare nowhere              2 | --compare | 'nowhere' | {WITH_EXAMPLES}
cost dev --plan /etc/hostname           1 | /etc/hostname is not a plan | terraform show -json
console nowhere                         2 | 'nowhere' | {ENVIRONMENTS}
console local --port 70000              2 | --port | '70000' is not a whole number from 1 to 65535
capacity dev                            2 | exactly one of --users N and --find
capacity dev --find --users 5            2 | exactly one of --users N and --find
capacity dev --users 0                  2 | --users | '0' is not a whole number from 1 to 1000000000
capacity dev --users many               2 | --users | 'many' is not a whole number
capacity dev --users 10000000000        2 | --users | '10000000000' is not a whole number from 1 to
capacity dev --find --memory 0          2 | --memory | '0' is not a whole number from 1 upwards
capacity nowhere --find                 2 | 'nowhere' | {WITH_EXAMPLES}
diagram nowhere                         2 | 'nowhere' | {WITH_EXAMPLES}
diagram dev --view everything           2 | --view | 'everything' | use one of all, overview
diagram dev --format png                2 | --format | 'png' is not one of 'mermaid', 'svg'
diagram dev --into /missing.md          2 | --into | '/missing.md' does not exist
new service                             2 | Missing argument 'name' | ops new service --help
new service Notes                       1 | 'Notes' is not a name | for example notes
new service auth                        1 | auth is already the name | choose another name
new table                               2 | No such command 'table' | ops new --help
environment new prod                    1 | prod.yml exists | choose another name
environment new Prod                    1 | 'Prod' is not a name | use 2 to 15 lowercase letters
environment new qa --like nowhere       2 | --like | 'nowhere' | {WITH_EXAMPLES}
environment diff prod                   2 | Missing argument | ops environment diff --help
dev extra                               2 | unexpected extra argument | extra
logs nothing                            2 | 'nothing' {FUNCTIONS}
logs auth --since yesterday             2 | --since | 'yesterday' {AGE}
logs auth --since 10                    2 | --since | '10' {AGE}
tail local nothing                      2 | 'nothing' {FUNCTIONS}
tail nowhere                            2 | 'nowhere' | {ENVIRONMENTS}
trace                                   2 | Missing argument 'correlation_id' | ops trace --help
invoke local nothing                    2 | 'nothing' {FUNCTIONS}
invoke local post --example nothing     1 | 'nothing' | use one of: GET /v1/posts
deploy-function dev nothing             2 | SERVICE | 'nothing' {FUNCTIONS}
api extra                               2 | unexpected extra argument | extra
synth nowhere                           2 | 'nowhere' | {WITH_EXAMPLES}
synth dev --out /dev/null/x             1 | /dev/null/x cannot be used | check the path
env nowhere                             2 | 'nowhere' | {ENVIRONMENTS}
"""
ROWS = [
    (match[1].strip(), int(match[2]), [part.strip() for part in match[3].split("|")])
    for line in USAGES.strip().splitlines()
    if (match := re.fullmatch(r"(.*?) +(\d) \| (.*)", line))
]


def test_every_line_of_the_table_is_read() -> None:
    assert len(ROWS) == len(USAGES.strip().splitlines()) >= 60


def test_the_table_has_every_command() -> None:
    used = {command.split()[0] for command, *_ in ROWS}
    assert [entry.name for entry in ENTRIES if entry.name not in used] == []


def run(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[Any, str]:
    """Runs a command in this process. Returns its exit status and its message in one line."""
    with pytest.raises(SystemExit) as ended:
        main(lambda: app(arguments, prog_name="ops"))
    message = capsys.readouterr().err
    # Typer draws a frame around errors. Lines without text are not counted.
    lines = [line for line in message.splitlines() if re.search(r"\w", line.strip("│╭╮╰╯─ "))]
    assert len(lines) <= 7, message
    return ended.value.code, re.sub(r"[│╭╮╰╯─\s]+", " ", message)


@pytest.mark.parametrize(
    ("command", "status", "parts"), ROWS, ids=[command for command, *_ in ROWS]
)
def test_a_wrong_usage_ends_with_a_short_message(
    command: str,
    status: int,
    parts: list[str],
    root: Root,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # These commands must fail before they send a request. The proxy is unreachable and no platform
    # runs, so a command that sends a request fails with another message.
    for variable in ("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"):
        monkeypatch.setenv(variable, "http://192.0.2.1:9")
    monkeypatch.setenv("DEV_ACCOUNT_ID", "111122223333")
    monkeypatch.setenv("COLUMNS", "300")
    arguments = shlex.split(command)
    if STOPPED in parts:
        arguments += ["--root", str(root.path)]
    actual, message = run(arguments, capsys)
    assert actual == status, message
    assert [part for part in parts if part not in message] == [], message
    assert "Traceback" not in message


def test_every_command_rejects_unknown_options(capsys: pytest.CaptureFixture[str]) -> None:
    for entry in ENTRIES:
        command = entry.load()
        subcommands = list(command.commands) if isinstance(command, TyperGroup) else []
        for path in [[entry.name, name] for name in subcommands] or [[entry.name]]:
            status, message = run([*path, "--unknown"], capsys)
            assert status == 2
            assert "No such option: --unknown" in message
