"""Synthesizes every environment once for all tests of this folder. These tests run on one
worker.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from ops.embedded import Addresses, EmbeddedCloud
from ops.embedded.services import ACCESS_KEY, SECRET_KEY
from ops.root import Root
from tests.stack.stacks import synthesize

ACCOUNT = "000000000000"
"""The account id of the embedded AWS."""


@pytest.fixture(scope="session")
def synthesized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the folder that contains one folder for each stack."""
    return synthesize(tmp_path_factory.mktemp("synthesized"))


@pytest.fixture(scope="session")
def root() -> Iterator[Root]:
    # PostgreSQL's system user cannot read pytest's temporary directory.
    with tempfile.TemporaryDirectory(prefix="multitask-") as directory:
        root = Root(Path(directory))
        root.prepare()
        yield root


@pytest.fixture(scope="session")
def empty_cloud(root: Root) -> Iterator[Addresses]:
    """Starts an embedded cloud that contains only the state buckets."""
    cloud = EmbeddedCloud(root)
    try:
        addresses = cloud.start().addresses
        session = boto3.Session(ACCESS_KEY, SECRET_KEY, region_name="us-east-1")
        s3 = session.client("s3", endpoint_url=addresses.aws, verify=addresses.authority)
        for bucket in ("multitask-terraform-state", f"multitask-terraform-state-{ACCOUNT}"):
            s3.create_bucket(Bucket=bucket)
        yield addresses
    finally:
        cloud.stop()
