"""Measures the CPU time that durability adds to a call of the embedded AWS.

Durability has two parts: a journal that records each change, and saves, which write all data of a
service. The benchmark runs two embedded AWS, one of them without durability. It sends the same
block of calls alternately to one and to the other. Each pair of blocks yields one ratio of CPU
times. The CPU time includes the child processes that save. On a busy machine, CPU time varies less
than the duration of a call.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3

from ops.embedded.certificates import Certificates
from ops.embedded.ports import LOOPBACK, choose_port
from ops.embedded.processes import Process, Processes
from ops.embedded.services import ACCESS_KEY, SECRET_KEY, SERVER, Aws
from ops.root import Root

WITHOUT_DURABILITY = f"""
import runpy, sys
server = runpy.run_path({str(SERVER)!r})
server["load"]("emulator")
from emulator.durability import saving
saving.Saver.install = lambda self: None
server["main"]()
"""
ITEMS = 3000
"""Number of items in the table before the measurement, so that saves write realistic files."""
CALLS = 60
"""Number of repetitions of the reads, writes and messages in one block."""


class Target:
    """An embedded AWS whose CPU time is measured, with a table and a queue for the calls."""

    def __init__(self, process: Process, authority: Path) -> None:
        self._process, self._authority = process, authority
        self._items = self._client(process.port, "dynamodb")
        self._messages = self._client(process.port, "sqs")
        self._queue = self._messages.create_queue(QueueName="queue")["QueueUrl"]
        self._items.create_table(
            TableName="items",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
        )
        for number in range(ITEMS):
            self._write(number)

    def run(self) -> float:
        """Runs a block of calls and returns the CPU seconds that it took."""
        begun = self._cpu_seconds()
        for number in range(CALLS):
            self._write(number)
            for other in range(4):
                self._items.get_item(TableName="items", Key={"id": {"S": str(other)}})
            self._messages.send_message(QueueUrl=self._queue, MessageBody="x" * 500)
            received = self._messages.receive_message(QueueUrl=self._queue)
            for message in received.get("Messages", ()):
                self._messages.delete_message(
                    QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"]
                )
        return self._cpu_seconds() - begun

    def _write(self, number: int) -> None:
        item = {"id": {"S": str(number)}, "text": {"S": f"{time.time_ns()}{'x' * 800}"}}
        self._items.put_item(TableName="items", Item=item)

    def _cpu_seconds(self) -> float:
        process = self._process.find()
        assert process
        times = process.cpu_times()
        return float(times.user + times.system + times.children_user + times.children_system)

    def _client(self, port: int, service: Any) -> Any:
        return boto3.client(
            service,
            region_name="us-east-1",
            endpoint_url=f"https://{LOOPBACK}:{port}",
            verify=str(self._authority),
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
        )


@contextmanager
def running(script: Path) -> Iterator[Target]:
    """Starts an embedded AWS with the program `script`, and stops it when the `with` block ends."""
    with tempfile.TemporaryDirectory() as directory:
        root = Root(Path(directory))
        root.prepare()
        processes = Processes(root)
        aws = Aws(root, processes, script)
        port = choose_port()
        process = aws.start(port)
        try:
            while not aws.is_ready(port):
                time.sleep(0.1)
            yield Target(process, Certificates(root).authority)
        finally:
            processes.stop(process)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--pairs",
        type=int,
        default=20,
        help="Number of block pairs to run (a pair is one block of calls with and one without"
        " durability). Default: 20 pairs.",
    )
    pairs = parser.parse_args().pairs
    with tempfile.TemporaryDirectory() as directory:
        script = Path(directory) / "server.py"
        script.write_text(WITHOUT_DURABILITY)
        with running(SERVER) as durable, running(script) as plain:
            ratios = []
            seconds = []
            for pair in range(pairs):
                if pair % 2:
                    cost, base = durable.run(), plain.run()
                else:
                    base, cost = plain.run(), durable.run()
                ratios.append(cost / base)
                seconds.append((cost - base) / CALLS)
    quartiles = statistics.quantiles(ratios, n=4)
    print(
        f"CPU time with / without durability: median {statistics.median(ratios):.3f}, quartiles"
        f" {quartiles[0]:.3f} to {quartiles[2]:.3f}; durability adds"
        f" {statistics.median(seconds) * 1e3:.2f} ms to 8 calls, 3 of which change data"
    )


if __name__ == "__main__":
    main()
