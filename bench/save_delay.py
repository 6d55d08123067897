"""Measures the time from a change of the embedded AWS until the change survives a kill.

A client changes SSM parameters and IAM roles while the embedded AWS repeatedly saves the data of
all services. In normal operation, it saves them every minute. The journal contains the time of each
change and of its save. Changes of DynamoDB items, SQS messages and archived events are not
measured, because the journal contains them before they are acknowledged.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import threading
import time
from pathlib import Path

from tests.ops.embedded.servers import Server, running_server

ROLES = 150
"""Number of IAM roles that exist before the measurement.

The local platform has about 50 roles with policies. The roles of the benchmark have no policies, so
it creates more of them.
"""
INTERVAL = 0.3
"""Seconds between two changes of a parameter and a role."""
FULL_SAVE_INTERVAL = 6.0
"""Seconds between two saves of the data of all services."""


def save_delays(journal: Path, deadline: float) -> list[float]:
    """Reads the journal until the deadline.

    Reads it continuously, because the embedded AWS deletes old journal files when it saves the data
    of all services.

    Returns:
        The seconds between each change and the time when it was saved, sorted.
    """
    delays: dict[tuple[str, float], float] = {}
    while time.monotonic() < deadline:
        for segment in journal.iterdir():
            try:
                lines = segment.read_text().splitlines()
            except FileNotFoundError:
                continue
            for record in (record for line in lines for record in json.loads(line)):
                if record[0] == "saved":
                    _, changes, saved = record
                    delays |= {(name, since): saved - since for name, since in changes.items()}
        time.sleep(0.2)
    return sorted(delays.values())


def change(server: Server, deadline: float) -> None:
    """Changes SSM parameters and IAM roles until the deadline.

    Saves the data of all services every FULL_SAVE_INTERVAL seconds.
    """
    parameters, roles = server.client("ssm"), server.client("iam")
    saved, number = time.monotonic(), 0
    while time.monotonic() < deadline:
        number += 1
        parameters.put_parameter(Name=f"/{number}", Value="1", Type="String")
        roles.create_role(RoleName=f"changed-{number}", AssumeRolePolicyDocument="{}")
        if time.monotonic() - saved > FULL_SAVE_INTERVAL:
            saved = time.monotonic()
            threading.Thread(target=server.aws.save, args=(server.port,)).start()
        time.sleep(INTERVAL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--seconds",
        type=float,
        default=60,
        help="Duration of the measurement in seconds. Default: 60.",
    )
    arguments = parser.parse_args()
    with running_server() as server:
        roles = server.client("iam")
        for number in range(ROLES):
            roles.create_role(
                RoleName=f"role-{number}", AssumeRolePolicyDocument="{}", Description="x" * 800
            )
        deadline = time.monotonic() + arguments.seconds
        thread = threading.Thread(target=change, args=(server, deadline))
        thread.start()
        delays = save_delays(server.aws.data / "journal", deadline + 2)
        thread.join()
    ninth = delays[int(len(delays) * 0.9)]
    print(
        f"{len(delays)} changes: median {statistics.median(delays):.2f} s, 90 % within"
        f" {ninth:.2f} s, at most {delays[-1]:.2f} s; load average {os.getloadavg()[0]:.0f}"
    )


if __name__ == "__main__":
    main()
