"""Draws the map: python -m ops.web_console.map_picture ENVIRONMENT DIRECTORY < FILE

DIRECTORY contains the synthesized stack, and FILE the names of the queues by key, as JSON. The
console runs this module as a separate process, because drawing takes 8 MB of memory.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

from ops.diagram.graph import Graph, read_graph, view_of
from ops.diagram.svg import svg
from ops.terraform.stack_document import read_synthesized

VIEW = "live"
"""The view of ops/diagram/drawing.yml that the map shows."""
WIDTH = 1140.0
"""Width of the map in pixels. On a screen 1440 pixels wide, the map fits next to the navigation."""
PAGES = {
    "aws_lambda_function": "functions/{}",
    "aws_dynamodb_table": "data/tables/{}",
    "aws_s3_bucket": "data/buckets",
    "aws_rds_cluster": "data/sql",
    "aws_elasticache_replication_group": "data/cache",
    "aws_sqs_queue": "messages/queues/{}",
    "aws_cloudwatch_event_bus": "messages/events",
    "aws_cloudwatch_event_archive": "messages/events",
    "aws_cognito_user_pool": "messages/mails",
    "aws_apigatewayv2_api": "messages/connections",
    "aws_api_gateway_rest_api": "requests",
}
"""The path of the console's page for each type of resource. `{}` is the name of the resource."""


def find_pages(graph: Graph, queues: Mapping[str, str]) -> dict[str, str]:
    """Returns the path of the console's page for each node id.

    Args:
        queues: The names of the queues by key. The path of a queue's page contains the key. The
            node of a queue has only a label: the queue's name, possibly without the environment.
    """
    keys = {_shorten(name, graph.environment): key for key, name in queues.items()}
    return {
        node.id: PAGES[node.type].format(
            keys.get(_shorten(node.label, graph.environment), node.label)
        )
        for node in graph.nodes
        if node.type in PAGES
    }


def _shorten(name: str, environment: str) -> str:
    return name.replace(f"-{environment}", "").replace("-queue", "")


def main(environment: str, directory: str) -> None:
    """Writes a JSON object with the picture as SVG, and with the page of each node."""
    queues = msgspec.json.decode(sys.stdin.buffer.read(), type=dict[str, str])
    graph = view_of(read_graph(read_synthesized(Path(directory))), VIEW)
    picture = svg(
        graph, title=f"Architecture of {environment}", is_styled=False, desired_width=WIDTH
    )
    result = {"svg": picture, "pages": find_pages(graph, queues)}
    sys.stdout.buffer.write(msgspec.json.encode(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
