# ruff: noqa: N803, N805 - these names are boto3's
"""Fakes for tests of releases: Lambda, CloudWatch, SNS, a clock, and a ledger on moto."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError

from ops.cloud import Cloud
from ops.traffic.ledger import Ledger

TABLE = "platform-releases-dev"


def digest(content: bytes) -> str:
    return base64.b64encode(hashlib.sha256(content).digest()).decode()


class FakeClock:
    """A clock that advances only when `sleep` is called."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now
        self.on_sleep: Callable[[], None] = lambda: None

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.on_sleep()


ALLOCATION_SECONDS = 90.0
"""Seconds. AWS documents "a minute or two of preparation" before Lambda allocates."""


class FakeLambda:
    """Lambda's versions and aliases. `updates` lists every update of an alias.

    After an update of an alias with provisioned concurrency, the previous version keeps weight 1
    for `allocation_seconds`, or permanently if the new version is one of `broken`.
    """

    def __init__(
        self,
        functions: dict[str, dict[str, bytes]],
        clock: Callable[[], float] = time.time,
        provisioned: dict[str, int] | None = None,
    ) -> None:
        self.code = functions
        self.clock = clock
        self.provisioned = dict(provisioned or {})
        self.broken: set[str] = set()
        self.allocation_seconds = ALLOCATION_SECONDS
        self.ready_at = dict.fromkeys(functions, 0.0)
        self.aliases: dict[str, dict[str, Any]] = {
            name: {"version": "1", "weights": {}, "revision": 0, "shifting": False}
            for name in functions
        }
        self.updates: list[tuple[str, str, dict[str, float]]] = []
        self.respond: Callable[[str, str, Any], Any] = lambda *_: {"statusCode": 200, "body": "{}"}
        self.before_update: Callable[[], None] = lambda: None

    def get_alias(self, *, FunctionName: str, Name: str) -> dict[str, Any]:
        assert Name == "live"
        alias = self.aliases[FunctionName]
        if alias["weights"] and self._status(FunctionName) == "READY" and alias.get("shifting"):
            alias |= {"weights": {}, "shifting": False, "revision": alias["revision"] + 1}
        routing = (
            {"RoutingConfig": {"AdditionalVersionWeights": alias["weights"]}}
            if alias["weights"]
            else {}
        )
        return {
            "FunctionVersion": alias["version"],
            "RevisionId": str(alias["revision"]),
            **routing,
        }

    def update_alias(
        self,
        *,
        FunctionName: str,
        Name: str,
        FunctionVersion: str,
        RoutingConfig: Any,
        RevisionId: str,
    ) -> dict[str, Any]:
        self.before_update()
        # Reading the alias completes a pending traffic shift.
        self.get_alias(FunctionName=FunctionName, Name=Name)
        alias = self.aliases[FunctionName]
        if RevisionId != str(alias["revision"]):
            raise ClientError(
                {"Error": {"Code": "PreconditionFailedException", "Message": ""}}, "UpdateAlias"
            )
        weights = RoutingConfig["AdditionalVersionWeights"]
        self.updates.append((FunctionName, FunctionVersion, weights))
        serving = max(alias["weights"], default="") if alias.get("shifting") else alias["version"]
        shifting = FunctionName in self.provisioned and serving != FunctionVersion
        if shifting:
            self.ready_at[FunctionName] = self.clock() + self.allocation_seconds
        self.aliases[FunctionName] = {
            "version": FunctionVersion,
            "weights": {serving: 1.0} if shifting else weights,
            "revision": alias["revision"] + 1,
            "shifting": shifting,
        }
        return self.get_alias(FunctionName=FunctionName, Name=Name)

    def _status(self, function: str) -> str:
        if self.aliases[function]["version"] in self.broken:
            return "FAILED"
        return "READY" if self.clock() >= self.ready_at[function] else "IN_PROGRESS"

    def get_provisioned_concurrency_config(
        self, *, FunctionName: str, Qualifier: str
    ) -> dict[str, Any]:
        assert Qualifier == "live"
        if FunctionName not in self.provisioned:
            code = "ProvisionedConcurrencyConfigNotFoundException"
            raise ClientError(
                {"Error": {"Code": code, "Message": ""}}, "GetProvisionedConcurrencyConfig"
            )
        status = self._status(FunctionName)
        return {
            "RequestedProvisionedConcurrentExecutions": self.provisioned[FunctionName],
            "Status": status,
            **({"StatusReason": "FUNCTION_ERROR_INIT_FAILURE"} if status == "FAILED" else {}),
        }

    def put_provisioned_concurrency_config(
        self, *, FunctionName: str, Qualifier: str, ProvisionedConcurrentExecutions: int
    ) -> None:
        if self.aliases[FunctionName]["weights"]:
            message = "Alias with weights can not be used with Provisioned Concurrency"
            raise ClientError(
                {"Error": {"Code": "InvalidParameterValueException", "Message": message}},
                "PutProvisionedConcurrencyConfig",
            )
        self.provisioned[FunctionName] = ProvisionedConcurrentExecutions
        self.ready_at[FunctionName] = self.clock() + self.allocation_seconds

    def delete_provisioned_concurrency_config(self, *, FunctionName: str, Qualifier: str) -> None:
        del self.provisioned[FunctionName]
        alias = self.aliases[FunctionName]
        if alias.get("shifting"):
            alias |= {"weights": {}, "shifting": False, "revision": alias["revision"] + 1}

    def get_paginator(self, operation: str) -> Any:
        versions = {
            name: [{"Version": "$LATEST"}]
            + [{"Version": n, "CodeSha256": digest(c)} for n, c in code.items()]
            for name, code in self.code.items()
        }

        class Paginator:
            def paginate(_, *, FunctionName: str) -> list[Any]:
                if operation == "list_versions_by_function":
                    # AWS returns versions in several pages.
                    return [
                        {"Versions": versions[FunctionName][:1]},
                        {"Versions": versions[FunctionName][1:]},
                    ]
                return [{"Aliases": [self.get_alias(FunctionName=FunctionName, Name="live")]}]

        return Paginator()

    def get_function_configuration(
        self, *, FunctionName: str, Qualifier: str | None = None
    ) -> dict[str, Any]:
        if Qualifier is None:
            return {"LastUpdateStatus": "Successful"}
        if Qualifier not in self.code[FunctionName]:
            raise ClientError(
                {"Error": {"Code": "ResourceNotFoundException", "Message": ""}}, "GetFunction"
            )
        return {
            "Version": Qualifier,
            "CodeSha256": digest(self.code[FunctionName][Qualifier]),
            "Role": f"arn:aws:iam::1:role/{FunctionName}-role",
            "Environment": {"Variables": {"TABLE": f"{FunctionName}-table-{Qualifier}"}},
        }

    def update_function_code(
        self, *, FunctionName: str, ZipFile: bytes, Publish: bool
    ) -> dict[str, Any]:
        assert Publish
        number = str(max(map(int, self.code[FunctionName])) + 1)
        self.code[FunctionName][number] = ZipFile
        return {"Version": number, "CodeSha256": digest(ZipFile)}

    def delete_function(self, *, FunctionName: str) -> None:
        name, _, number = FunctionName.partition(":")
        del self.code[name][number]

    def invoke(self, *, FunctionName: str, Qualifier: str, Payload: bytes) -> dict[str, Any]:
        response = self.respond(FunctionName, Qualifier, json.loads(Payload))
        failed = {"FunctionError": "Unhandled"} if "errorMessage" in response else {}
        return {"Payload": io.BytesIO(json.dumps(response).encode()), **failed}


class FakeCloudWatch:
    """CloudWatch metrics, alarms and logs of a new version."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}
        self.before: dict[str, float] = {}
        self.firing: list[str] = []
        self.lines: list[dict[str, str]] = []
        self.dimensions: list[dict[str, str]] = []
        self._reads = 0

    def get_metric_data(self, *, MetricDataQueries: Any, **_: object) -> dict[str, Any]:
        dimensions = MetricDataQueries[0]["MetricStat"]["Metric"]["Dimensions"]
        self.dimensions.append({item["Name"]: item["Value"] for item in dimensions})
        self._reads += 1
        values = self.before if self._reads == 1 else self.values
        results = [(query["Id"], values.get(query["Id"])) for query in MetricDataQueries]
        return {
            "MetricDataResults": [
                {"Id": id_, "Values": [] if value is None else [value]} for id_, value in results
            ]
        }

    def describe_alarms(self, *, AlarmNames: list[str], StateValue: str) -> dict[str, Any]:
        return {"MetricAlarms": [{"AlarmName": name} for name in self.firing if name in AlarmNames]}

    def get_paginator(self, _: str) -> Any:
        watch = self

        class Paginator:
            def paginate(self, **_: object) -> list[Any]:
                return [{"events": watch.lines}]

        return Paginator()


class FakeTopic:
    """An SNS client that records the published messages."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []

    def publish(self, **message: Any) -> None:
        self.messages.append(message)

    @property
    def subjects(self) -> list[str]:
        return [message["Subject"] for message in self.messages]


def make_ledger(
    cloud: Cloud, clock: Callable[[], float] = time.time, environment: str = "dev"
) -> Ledger:
    """Creates the ledger's table on moto, and returns the ledger."""
    boto3.client("dynamodb", region_name="us-east-1").create_table(
        TableName=f"platform-releases-{environment}",
        KeySchema=[
            {"AttributeName": "service", "KeyType": "HASH"},
            {"AttributeName": "released_at", "KeyType": "RANGE"},
        ],
        AttributeDefinitions=[
            {"AttributeName": n, "AttributeType": "S"} for n in ("service", "released_at")
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    return Ledger(cloud, clock)


def zip_of(directory: Path, content: bytes) -> Path:
    """Writes a function's package. The fakes also accept content that is not a zip file."""
    path = directory / f"{digest(content)[:8].replace('/', '_')}.zip"
    path.write_bytes(content)
    return path
