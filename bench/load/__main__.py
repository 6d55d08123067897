"""Measures each route and frame of a running platform under a planned load.

    python -m bench.load [--root .local] [--rates 10 20 40] [--seconds 60] [--json]

The mix is that of ops/capacity/model.yml, without the requests to language models. Requests are
sent at planned times, which do not depend on responses (an open workload). Latencies count from the
planned time, so they include the time that a request waited for slow earlier ones. The report
compares each route with an empty function behind the same API Gateway. One of eleven requests goes
to this function.

The benchmark creates users, rooms, posts and listings, and deletes them at the end. Ctrl-C ends the
load early, and the report then covers the requests until then.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

from bench import create_parser
from bench.load.baseline import deploy_empty_function
from bench.load.mix import left_out, mix
from bench.load.report import Step, document, summarize, table
from bench.load.requests import Requests
from bench.load.runner import Measured, run
from bench.load.schedule import Arrival, plan_arrivals, plan_phases
from bench.load.world import World, build_world
from ops.capacity.model import Model, load_model
from ops.console import Progress, format_duration, print_json, print_line, report
from ops.errors import OperatorError
from ops.root import DEFAULT_ROOT
from tests.e2e.support.platform import Platform

THREADS = 256
"""Maximum number of REST requests at the same time."""
LONGEST = 12 * 60
"""Maximum duration of the load in seconds.

Access tokens are valid for 15 minutes, and the users sign in before the load starts.
"""


def main() -> None:
    parser = _parser()
    arguments = parser.parse_args()
    try:
        model = load_model(arguments.usage)
    except OperatorError as error:
        parser.error(str(error))
    phases = plan_phases(arguments.rates, arguments.seconds, arguments.ramp)
    seconds = sum(phase.seconds for phase in phases)
    if min(arguments.rates) <= 0 or arguments.seconds <= 0 or arguments.ramp < 0:
        parser.error("--rates and --seconds must be above 0, and --ramp at least 0")
    if seconds > LONGEST:
        parser.error(
            f"the load takes {format_duration(seconds)}, but access tokens expire after 15 minutes:"
            f" use at most {format_duration(LONGEST)}, or `python -m bench.soak` for a long load"
        )
    random = Random(arguments.seed)  # noqa: S311
    arrivals = plan_arrivals(phases, mix(model), random, is_poisson=not arguments.fixed)
    platform = Platform.load(arguments.root.resolve(), is_own=False)
    people, page = arguments.people, arguments.page
    with (
        Progress() as progress,
        deploy_empty_function(platform) as empty_function,
        build_world(platform, model, random, people=people, page=page, show=progress.show) as world,
    ):
        world.empty_function = empty_function
        measured = perform(world, model, arrivals, progress)
    steps = summarize(measured, phases, started(arrivals, measured))
    if arguments.json:
        print_json(document(steps, measured, seed=arguments.seed, leftOut=left_out(model)))
        return
    for line in text(steps, measured, model):
        print_line(line)


def _parser() -> argparse.ArgumentParser:
    parser = create_parser(__doc__)
    parser.add_argument(
        "--root",
        type=Path,
        default=DEFAULT_ROOT,
        help="directory of a running platform (default: .local)",
    )
    parser.add_argument(
        "--rates",
        type=float,
        nargs="+",
        default=[10.0],
        help="requests or sessions that start per second, one phase for each rate (default: 10)",
    )
    parser.add_argument(
        "--seconds", type=float, default=60.0, help="duration of each phase (default: 60)"
    )
    parser.add_argument(
        "--ramp",
        type=float,
        default=5.0,
        help="seconds of rising rate before each phase; the report omits them (default: 5)",
    )
    parser.add_argument(
        "--fixed", action="store_true", help="use equal intervals instead of random (Poisson) ones"
    )
    parser.add_argument(
        "--seed", type=int, default=1, help="seed of the random choices (default: 1)"
    )
    parser.add_argument(
        "--usage", type=Path, help="file with numbers that replace those of the usage model"
    )
    parser.add_argument(
        "--people", type=int, default=12, help="number of users that send requests (default: 12)"
    )
    parser.add_argument(
        "--page",
        type=int,
        default=20,
        help="number of items in each list before the load (default: 20)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    return parser


def perform(
    world: World, model: Model, arrivals: Sequence[Arrival], progress: Progress
) -> Measured:
    """Prepares the requests, opens the connections, and sends the requests at their planned
    times.
    """
    requests = Requests(world, round(model.population.rooms_joined_per_session.value))
    progress.show("sending the requests on which the load depends")
    requests.prepare(Counter(arrival.name for arrival in arrivals))
    return asyncio.run(_run(world, requests, arrivals, progress))


async def _run(
    world: World, requests: Requests, arrivals: Sequence[Arrival], progress: Progress
) -> Measured:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    loop.set_default_executor(ThreadPoolExecutor(THREADS))
    whole = arrivals[-1].second if arrivals else 0.0

    def show(second: float, count: int, problems: int) -> None:
        progress.show(
            f"{second:.0f} of {whole:.0f} s: {count:,} of {len(arrivals):,} arrivals,"
            f" {problems:,} not accepted, ends in {format_duration(whole - second)}"
        )

    progress.show("opening connections")
    await world.connect(world.users)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        measured = await run(arrivals, requests.perform, stop=stop, progress=show)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
    if measured.is_interrupted:
        report("Interrupted: deleting what the load created")
    for error in await world.disconnect():
        report(f"A connection failed: {error!r}")
    return measured


def started(arrivals: Sequence[Arrival], measured: Measured) -> Counter[int]:
    """Returns the number of arrivals that this client started in each phase."""
    return Counter(arrival.phase for arrival in arrivals[: measured.started])


def text(steps: Sequence[Step], measured: Measured, model: Model) -> list[str]:
    """Returns the lines of the report."""
    lines = []
    for step in steps:
        lines += [
            f"{step.rate:g} arrivals per second for {format_duration(step.seconds)}"
            f" ({step.arrivals:,} arrivals):",
            "",
            *table(step),
            "",
        ]
        for row in step.rows[1:]:
            for problem, count in sorted(row.problems.items()):
                lines.append(f"{row.name}: {count} times {problem}")
    if measured.is_interrupted:
        lines.append("The load was interrupted.")
    lines.append(
        f"Latencies count from the planned time. This client started each request at most"
        f" {measured.latest_start * 1000:.0f} ms after its planned time. p50, p95 and p99 need"
        f" 2, 20 and 100 accepted requests."
    )
    lines.append(f"Left out: {', '.join(left_out(model))}.")
    return lines


if __name__ == "__main__":
    main()
