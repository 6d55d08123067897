"""Changes Terraform's configuration, so that `ops up` adds, changes and removes resources."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ops.root import Root, write_json

PREFIX = "chaos"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}


class Changes:
    """Additional resources of the stack, in a separate Terraform file that `next` replaces."""

    def __init__(self, root: Root, aws: Callable[[str], Any]) -> None:
        """`aws` returns the boto3 client of a service."""
        self._file: Path = root.cdktf_out / "stacks" / "local" / f"{PREFIX}.tf.json"
        self._aws = aws
        self.generation = 0
        """Number of calls of `next`."""

    def next(self) -> None:
        """Writes a file that makes the next `ops up` add, change and remove resources.

        The file contains resources with a new name and omits the resources of the previous file.
        It also contains a queue and a parameter that every file contains, with new values.
        """
        self.generation += 1
        name = f"{PREFIX}-{self.generation}"
        table = {"name": name, "billing_mode": "PAY_PER_REQUEST", "hash_key": "id"}
        resources: dict[str, dict[str, Any]] = {
            "aws_dynamodb_table": {name: {**table, "attribute": [{"name": "id", "type": "S"}]}},
            "aws_iam_role": {name: {"name": name, "assume_role_policy": json.dumps(TRUST)}},
            "aws_s3_bucket": {name: {"bucket": name}},
            "aws_sqs_queue": {
                name: {"name": name},
                PREFIX: {"name": PREFIX, "visibility_timeout_seconds": self.generation},
            },
            "aws_ssm_parameter": {
                name: {"name": f"/{name}", "type": "String", "value": "1"},
                PREFIX: {"name": f"/{PREFIX}", "type": "String", "value": str(self.generation)},
            },
        }
        write_json(self._file, {"resource": resources})

    def differences(self) -> list[str]:
        """Returns the resources in the embedded AWS that differ from the file."""
        if not self.generation:
            return []
        name = f"{PREFIX}-{self.generation}"
        aws = self._aws
        parameters = aws("ssm").get_parameters(Names=[f"/{PREFIX}"])["Parameters"]
        queues = aws("sqs").list_queues(QueueNamePrefix=PREFIX).get("QueueUrls", [])
        actual = {
            "tables": [n for n in aws("dynamodb").list_tables()["TableNames"] if PREFIX in n],
            "roles": [
                role["RoleName"]
                for page in aws("iam").get_paginator("list_roles").paginate()
                for role in page["Roles"]
                if PREFIX in role["RoleName"]
            ],
            "buckets": [
                b["Name"] for b in aws("s3").list_buckets()["Buckets"] if PREFIX in b["Name"]
            ],
            "queues": sorted(queue.rpartition("/")[2] for queue in queues),
            "parameter": [parameter["Value"] for parameter in parameters],
        }
        expected = {
            "tables": [name],
            "roles": [name],
            "buckets": [name],
            "queues": [PREFIX, name],
            "parameter": [str(self.generation)],
        }
        return [
            f"{kind}: {values} instead of {expected[kind]}"
            for kind, values in actual.items()
            if values != expected[kind]
        ]
