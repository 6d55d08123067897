"""Measures the time that TLS adds to a request to a function, to a call of the embedded AWS, and to
a new connection.

Sends each request to a running platform alternately over TLS and without TLS. Each pair yields one
difference and one ratio. The function is the health check, which responds from its cache.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import urllib3

from ops.cloud import connect
from ops.embedded import EmbeddedCloud
from ops.root import DEFAULT_ROOT, Root
from ops.terraform.state import outputs

PAIRS = 400
"""Number of pairs of requests. A request takes about 10 ms, and the difference is below 1 ms."""


def measure(request: Callable[[], object]) -> float:
    """Returns the duration of a request in milliseconds."""
    begun = time.perf_counter()
    request()
    return (time.perf_counter() - begun) * 1000


def compare(
    label: str, with_tls: Callable[[], object], without: Callable[[], object], pairs: int
) -> None:
    """Prints the median durations with and without TLS, and the medians of their differences and
    ratios.
    """
    for request in (with_tls, without):
        request()
    results = []
    for number in range(pairs):
        if number % 2:
            secure, plain = measure(with_tls), measure(without)
        else:
            plain, secure = measure(without), measure(with_tls)
        results.append((secure, plain, secure - plain, secure / plain))
    secure, plain, difference, ratio = (
        statistics.median(column) for column in zip(*results, strict=True)
    )
    print(
        f"{label}: {secure:.2f} ms with TLS, {plain:.2f} ms without, difference"
        f" {difference:.2f} ms, ratio {ratio:.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=DEFAULT_ROOT)
    parser.add_argument("--pairs", type=int, default=PAIRS)
    arguments = parser.parse_args()
    root = Root(arguments.root)
    addresses, cloud = EmbeddedCloud(root).addresses(), connect("local", root)
    assert addresses
    health = outputs(cloud)["health_url"]
    plain_health = health.replace(addresses.aws, addresses.plain_aws)
    secure_pool = urllib3.PoolManager(ca_certs=addresses.authority)
    plain_pool = urllib3.PoolManager()

    def request_once(url: str) -> None:
        """Sends a request over a new connection, with a new TLS context."""
        with urllib3.PoolManager(ca_certs=addresses.authority) as pool:
            pool.request("GET", url)

    compare(
        "function, kept connection",
        lambda: secure_pool.request("GET", health),
        lambda: plain_pool.request("GET", plain_health),
        arguments.pairs,
    )
    server = "/_ministack/health"
    compare(
        "embedded AWS, kept connection",
        lambda: secure_pool.request("GET", addresses.aws + server),
        lambda: plain_pool.request("GET", addresses.plain_aws + server),
        arguments.pairs,
    )
    compare(
        "embedded AWS, new connection",
        lambda: request_once(addresses.aws + server),
        lambda: request_once(addresses.plain_aws + server),
        arguments.pairs // 2,
    )


if __name__ == "__main__":
    main()
