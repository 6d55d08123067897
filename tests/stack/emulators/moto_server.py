"""Starts moto's server, an emulator of AWS that shares no code with the embedded AWS."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import urllib3

from ops.embedded.ports import LOOPBACK, choose_port
from ops.embedded.services import ACCESS_KEY, SECRET_KEY
from tests.waiting import wait_for


@contextmanager
def running_moto(account: str, log: Path) -> Iterator[dict[str, str]]:
    """Runs moto's server, and yields the variables that direct Terraform and boto3 to it."""
    port = choose_port()
    address = f"http://{LOOPBACK}:{port}"
    settings = {"MOTO_ACCOUNT_ID": account, "MOTO_IAM_LOAD_MANAGED_POLICIES": "true"}
    with log.open("w") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", LOOPBACK, "-p", str(port)],
            env={**os.environ, **settings},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for(lambda: _is_ready(address), seconds=60)
        yield {
            "AWS_ENDPOINT_URL": address,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
    finally:
        server.terminate()
        server.wait()


def _is_ready(address: str) -> bool:
    try:
        response = urllib3.request("GET", f"{address}/moto-api/data.json", timeout=5, retries=False)
    except urllib3.exceptions.HTTPError:
        return False
    return response.status == 200
