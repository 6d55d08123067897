"""Runs the IAM simulator of `simulator.mjs`, and rewrites policies that it evaluates incorrectly.

The simulator deviates from AWS's documentation in the cases below. In the first four, the function
`for_simulator` rewrites the policy to an equivalent one. In the others, the generator of policies
and requests avoids the case.

- The simulator compares an address range with the prefix length 0 as a single address, and an
  address without prefix length as text. Both are rewritten to other ranges.
- It interprets dates in seconds since 1970 as milliseconds. Dates are rewritten to ISO 8601.
- An incomplete ARN in NotResource excludes every resource. According to AWS, the missing parts are
  wildcards, so these are added.
- It compares service names in Principal case-sensitively. They are rewritten to lower case.
- A negated string operator does not match if a policy variable in its value has no value. According
  to AWS, it matches. Requests therefore contain all keys that the policies use as variables.
- `${*}`, `${?}` and `${$}` are ordinary text in operators without wildcards. They are generated
  only in operators with wildcards.
- It replaces policy variables even in policies of the version 2008-10-17, in which AWS has no
  variables. Such policies are generated without `${`.
- An action pattern with a wildcard in the service name, such as `*:*`, matches nothing. Such
  patterns are not generated. `test_policies.py` tests some of them without the simulator.
- A wildcard in a resource type (`arn:aws:dynamodb:*:*:tab*/x`) is ordinary text. Such resources are
  not generated.
- Neither an ARN operator nor its negation matches a value without all six parts, such as `*`.
  Such values are not generated.
"""

from __future__ import annotations

import ipaddress
import json
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ops.terraform.toolchain import node_variables

SCRIPT = Path(__file__).with_name("simulator.mjs")
Block = dict[str, Any]


class Simulator:
    """A Node process that evaluates requests until it is closed."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [node_variables()["JSII_NODE"], str(SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"TZ": "UTC"},
        )

    def allowed(
        self, policies: Sequence[Block], requests: Sequence[Block], *, is_resource_policy: bool
    ) -> list[list[bool]]:
        """Returns, for each policy, whether it allows each of the requests.

        Args:
            is_resource_policy: True if the policies belong to a resource. The callers then have a
                policy that allows everything, and are in other accounts than the resource.
        """
        assert self._process.stdin
        assert self._process.stdout
        line = {
            "policies": [for_simulator(policy) for policy in policies],
            "requests": requests,
            "isResourcePolicy": is_resource_policy,
        }
        self._process.stdin.write(json.dumps(line) + "\n")
        self._process.stdin.flush()
        result: list[list[bool]] = json.loads(self._process.stdout.readline())
        return result

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(10)


def for_simulator(policy: Block) -> Block:
    """Returns an equivalent policy, which the simulator evaluates as AWS documents it."""
    return {**policy, "Statement": [_statement(item) for item in policy["Statement"]]}


def _statement(item: Block) -> Block:
    result = dict(item)
    for name in ("Principal", "NotPrincipal"):
        if isinstance(item.get(name), Mapping):
            result[name] = {
                kind: _each(values, str.lower) if kind == "Service" else values
                for kind, values in item[name].items()
            }
    if "NotResource" in item:
        result["NotResource"] = _each(item["NotResource"], _completed)
    if "Condition" in item:
        result["Condition"] = {
            operator: {key: _values(operator.lower(), values) for key, values in keys.items()}
            for operator, keys in item["Condition"].items()
        }
    return result


def _completed(resource: str) -> str:
    return ":".join([*resource.split(":"), *["*"] * (5 - resource.count(":"))])


def _each(values: Any, change: Any) -> Any:
    return [change(value) for value in values] if isinstance(values, list) else change(values)


def _values(operator: str, values: Any) -> Any:
    if "ipaddress" in operator:
        return [
            text
            for value in (values if isinstance(values, list) else [values])
            for text in _ranges(value)
        ]
    if "date" in operator:
        return _each(values, _moment)
    return values


def _ranges(value: str) -> Iterable[str]:
    network = ipaddress.ip_network(value, strict=False)
    return map(str, network.subnets() if network.prefixlen == 0 else [network])


def _moment(value: Any) -> str:
    text = str(value)
    return datetime.fromtimestamp(int(text), UTC).isoformat() if text.isdigit() else text
