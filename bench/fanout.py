"""Measures how fast one chat room delivers messages, compared with a function that only sends
frames.

The fan-out time starts when a message is stored, according to the function's log, and ends when the
last connection receives it. The baseline is the time of a function that only sends the same frame
to the same connections. The sequential baseline sends one frame at a time, the parallel baseline
uses as many threads as the platform. The column "from acceptance" is the time from the message's
timestamp, which precedes the storage, until the last connection receives it. The measurements
alternate.

Afterwards, the benchmark measures how many messages per second one room delivers while several
users send at the same time.
"""

from __future__ import annotations

import asyncio
import io
import json
import statistics
import sys
import time
import zipfile
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from bench import create_parser
from lambdas.common.live.fanout import PARALLEL_POSTS
from tests.chat_client import ChatClient, ChatError
from tests.e2e.support.api_client import Api
from tests.e2e.support.chat_users import ChatUser, open_connections
from tests.e2e.support.platform import Platform
from tests.e2e.support.users import Person

SIZES = (1, 10, 100, 500)
"""Numbers of connections in the room for which the fan-out is measured."""
SENDERS = 5
SENDING_TIME = 5.0
"""Seconds for which each sender sends messages, each as soon as the previous is acknowledged."""
BASELINE = "bench-fanout-baseline"

BASELINE_CODE = """
import boto3, json, time
from botocore.config import Config
from concurrent.futures import ThreadPoolExecutor
client = None
def handler(event, _context):
    global client
    client = client or boto3.client("apigatewaymanagementapi", endpoint_url=event["endpoint"],
                                    config=Config(max_pool_connections=event["workers"]))
    frame = json.dumps({**event["frame"], "begun": time.time()}).encode()
    def post(connection_id):
        client.post_to_connection(ConnectionId=connection_id, Data=frame)
    if event["workers"] == 1:
        for connection_id in event["connections"]:
            post(connection_id)
    else:
        with ThreadPoolExecutor(event["workers"]) as pool:
            list(pool.map(post, event["connections"]))
"""
"""Code of the function whose time is the baseline. It uses no sessions, tables or cache.

The frame that it sends contains the time at which it started.
"""


class Bench:
    """A running platform with signed-in chat users."""

    def __init__(self, platform: Platform) -> None:
        platform.reset_rate_limits()
        self.platform = platform
        self.people = [
            ChatUser(platform, Person.sign_up(platform, Api(platform.api_url)))
            for _ in range(SENDERS)
        ]
        self._cache = platform.cache()
        self._lambda = platform.aws("lambda")
        self._logs = platform.aws("logs")
        chat = self._lambda.get_function_configuration(FunctionName="chat-lambda-local")
        self._endpoint = chat["Environment"]["Variables"]["WEBSOCKET_API_ENDPOINT"]
        self._deploy_baseline(chat["Role"])

    def create_room(self) -> str:
        """Creates a room that all users join."""
        room = self.people[0].create_room()
        self.people[0].invite(room, *self.people[1:])
        return room

    def post_frame(self, room: str, frame: dict[str, Any], workers: int) -> None:
        """Invokes the baseline function, which only sends a frame to each connection in a room."""
        members: Any = self._cache.zrange(f"chat:room:{room}", 0, -1)
        event = {
            "endpoint": self._endpoint,
            "connections": [member.partition("|")[0] for member in members],
            "frame": frame,
            "workers": workers,
        }
        response = self._lambda.invoke(FunctionName=BASELINE, Payload=json.dumps(event).encode())
        assert "FunctionError" not in response, response["Payload"].read()

    def read_storage_times(self, since: float) -> list[float]:
        """Returns the times at which messages were stored, from the chat function's log."""
        pages = self._logs.get_paginator("filter_log_events").paginate(
            logGroupName="/aws/lambda/chat-lambda-local",
            startTime=int(since * 1000),
            filterPattern='"message announced"',
        )
        lines = [json.loads(event["message"]) for page in pages for event in page["events"]]
        return [line["stored_at"] for line in lines if line.get("message") == "message announced"]

    def close(self) -> None:
        self._lambda.delete_function(FunctionName=BASELINE)

    def _deploy_baseline(self, role: str) -> None:
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as archive:
            archive.writestr("baseline.py", BASELINE_CODE)
        names = [item["FunctionName"] for item in self._lambda.list_functions()["Functions"]]
        if BASELINE in names:
            self._lambda.delete_function(FunctionName=BASELINE)
        self._lambda.create_function(
            FunctionName=BASELINE,
            Runtime="python3.13",
            Role=role,
            Handler="baseline.handler",
            Code={"ZipFile": code.getvalue()},
            Timeout=60,
        )


class Timed(NamedTuple):
    """Times of a frame, in seconds since the epoch.

    `called` is the time at which the benchmark started the action that sends the frame, `begun` is
    the time that the frame contains, and `arrived` is the time at which the last client received
    the frame.
    """

    called: float
    begun: float
    arrived: float


async def time_frame(
    clients: Sequence[ChatClient], room: str, act: Callable[[], Awaitable[object]]
) -> Timed:
    """Performs an action that sends one frame to each client in the room, and returns the times of
    the frame.
    """
    before = [frames(client, room) for client in clients]
    called = time.time()
    doing = asyncio.ensure_future(act())
    while any(frames(client, room) <= count for client, count in zip(clients, before, strict=True)):
        assert time.time() - called < 60, "A frame did not arrive within 60 s"
        await asyncio.sleep(0.001)
    arrived = time.time()
    message: Any = await doing
    begun = (
        datetime.fromisoformat(message["timestamp"]).timestamp()
        if message
        else clients[0].signals[-1]["begun"]
    )
    return Timed(called, begun, arrived)


def frames(client: ChatClient, room: str) -> int:
    return len(client.messages[room]) + len(client.signals)


async def fan_out(bench: Bench, size: int, rounds: int) -> dict[str, Any]:
    """Measures fan-out to `size` connections.

    Returns median seconds, and the median ratio to the parallel baseline.
    """
    room = bench.create_room()
    clients = await open_connections(bench.people, room, size)
    await asyncio.sleep(1)  # wait until the clients have received all presence frames
    text = "x" * 200
    baseline_frame = {
        "type": "baseline",
        "roomId": room,
        "message": {"content": text, "padding": "y" * 300},
    }
    begun = time.time()
    sent: list[Timed] = []
    parallel: list[float] = []
    sequential: list[float] = []
    for turn in range(rounds + 1):
        # The message is sent by REST, because the embedded AWS does not log functions that
        # WebSocket frames invoke.
        delivered = await time_frame(
            clients, room, lambda: asyncio.to_thread(bench.people[0].send_message, room, text)
        )
        baselines = [
            await time_frame(
                clients,
                room,
                partial(asyncio.to_thread, bench.post_frame, room, baseline_frame, workers),
            )
            for workers in (PARALLEL_POSTS, 1)
        ]
        if turn:  # the first round is a warm-up
            sent.append(delivered)
            for measured, baseline in zip((parallel, sequential), baselines, strict=True):
                measured.append(baseline.arrived - baseline.begun)
    await asyncio.gather(*(client.close() for client in clients))
    stored = await asyncio.to_thread(bench.read_storage_times, begun)
    fan_outs = [
        one.arrived - next(at for at in stored if one.called < at < one.arrived) for one in sent
    ]
    return {
        "connections": size,
        "fromAcceptance": statistics.median(one.arrived - one.begun for one in sent),
        "fanOut": statistics.median(fan_outs),
        "parallelBaseline": statistics.median(parallel),
        "sequentialBaseline": statistics.median(sequential),
        "ratio": statistics.median(a / b for a, b in zip(fan_outs, parallel, strict=True)),
    }


async def throughput(bench: Bench, listeners: int) -> dict[str, Any]:
    """Measures how many messages per second one room delivers.

    Measures once with messages sent by WebSocket, and once with messages sent by REST.
    """
    room = bench.create_room()
    clients = await open_connections(bench.people, room, max(listeners, SENDERS))

    async def rate(send: Callable[[int], Awaitable[object]]) -> float:
        before = len(clients[-1].messages[room])
        begun = time.perf_counter()

        async def sender(index: int) -> int:
            sent = 0
            while time.perf_counter() - begun < SENDING_TIME:
                try:
                    await send(index)
                except (AssertionError, ChatError):
                    # On a busy machine, calls to DynamoDB exceed their timeout of 1 s, so some
                    # messages cannot be sent.
                    continue
                sent += 1
            return sent

        total = sum(await asyncio.gather(*(sender(index) for index in range(SENDERS))))
        while len(clients[-1].messages[room]) < before + total:
            await asyncio.sleep(0.01)
        return total / (time.perf_counter() - begun)

    sockets = await rate(lambda index: clients[index].send(room, "x"))
    rest = await rate(lambda index: asyncio.to_thread(bench.people[index].send_message, room, "x"))
    await asyncio.gather(*(client.close() for client in clients))
    return {"connections": len(clients), "throughSockets": sockets, "byRest": rest}


async def measure(
    bench: Bench, rounds: int, sizes: Sequence[int], listeners: Sequence[int]
) -> dict[str, Any]:
    """Measures fan-out and throughput.

    Returns all results, and prints each to standard error as soon as it is known.
    """
    results: dict[str, Any] = {"fanOut": [], "throughput": []}
    for size in sizes:
        results["fanOut"].append(await fan_out(bench, size, rounds))
        print(results["fanOut"][-1], file=sys.stderr)
    for count in listeners:
        results["throughput"].append(await throughput(bench, count))
        print(results["throughput"][-1], file=sys.stderr)
    return results


def main() -> None:
    parser = create_parser(__doc__)
    parser.add_argument(
        "--root",
        type=Path,
        default=Path(".local"),
        help="directory of a running platform (default: .local)",
    )
    parser.add_argument(
        "--rounds",
        type=int,
        default=7,
        help="number of measured messages for each number of connections (default: 7)",
    )
    parser.add_argument(
        "--sizes",
        type=int,
        nargs="+",
        default=SIZES,
        help="numbers of connections in the room, one for each measurement (default: 1 10 100 500)",
    )
    parser.add_argument(
        "--no-throughput", action="store_true", help="do not measure the throughput"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    arguments = parser.parse_args()
    listeners = () if arguments.no_throughput else (SENDERS, 50)
    bench = Bench(Platform.load(arguments.root.resolve(), is_own=False))
    try:
        results = asyncio.run(measure(bench, arguments.rounds, arguments.sizes, listeners))
    finally:
        bench.close()
    if arguments.json:
        print(json.dumps(results))
        return
    print(
        "Times in ms.\n\n"
        "| connections | fan-out | parallel baseline | ratio | sequential baseline"
        " | from acceptance |"
    )
    print("| --- | --- | --- | --- | --- | --- |")
    for row in results["fanOut"]:
        fan_out, parallel, sequential, whole = (
            f"{row[name] * 1000:.1f}"
            for name in ("fanOut", "parallelBaseline", "sequentialBaseline", "fromAcceptance")
        )
        print(
            f"| {row['connections']} | {fan_out} | {parallel} | {row['ratio']:.2f} | {sequential}"
            f" | {whole} |"
        )
    print("\n| connections | messages per second by WebSocket | by REST |")
    print("| --- | --- | --- |")
    for row in results["throughput"]:
        print(f"| {row['connections']} | {row['throughSockets']:.0f} | {row['byRest']:.0f} |")


if __name__ == "__main__":
    main()
