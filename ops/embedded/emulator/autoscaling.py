"""Adds Application Auto Scaling. It stores targets and policies, and never changes a capacity."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from typing import Any

from ministack.core import iam_actions
from ministack.core.responses import AccountRegionScopedDict, get_account_id

from .additions import CallError, Data, add_service, build_arn

SERVICE = "application-autoscaling"
ROLE = (
    "arn:aws:iam::{account}:role/aws-service-role/dynamodb.application-autoscaling.amazonaws.com/"
    "AWSServiceRoleForApplicationAutoScaling_DynamoDBTable"
)
IDENTITY = ("ServiceNamespace", "ResourceId", "ScalableDimension")
"""The parameters that together identify a scalable target."""

_targets = AccountRegionScopedDict()
"""Scalable targets by IDENTITY, with their tags."""
_policies = AccountRegionScopedDict()
"""Scaling policies by IDENTITY and name."""


def add_autoscaling() -> None:
    """Adds the actions of Application Auto Scaling that Terraform's provider calls."""
    add_service(
        SERVICE,
        {
            "RegisterScalableTarget": register_target,
            "DescribeScalableTargets": describe_targets,
            "DeregisterScalableTarget": deregister_target,
            "PutScalingPolicy": put_policy,
            "DescribeScalingPolicies": describe_policies,
            "DeleteScalingPolicy": delete_policy,
            "TagResource": tag_target,
            "UntagResource": untag_target,
            "ListTagsForResource": lambda data: {"Tags": find_tagged(data)["Tags"]},
        },
        lambda data: data.get("ResourceARN", build_arn(SERVICE, "scalable-target/*")),
        targets=_targets,
        policies=_policies,
    )
    read_tags = iam_actions.request_tag_context

    def read_context(service: str, action: str, body: bytes, parameters: Any) -> Any:
        context = read_tags(service, action, body, parameters)
        if service == SERVICE and (namespace := iam_actions._safe_json_field(body, IDENTITY[0])):
            context[f"{SERVICE}:service-namespace"] = namespace
        return context

    iam_actions.request_tag_context = read_context


def identify(data: Data) -> tuple[str, ...]:
    """Returns the identity of the scalable target that a call names."""
    return tuple(data[name] for name in IDENTITY)


def register_target(data: Data) -> Data:
    """Stores a new target, or updates an existing one with the settings in the call."""
    target = _targets.get(identify(data))
    if target is None:
        if not {"MinCapacity", "MaxCapacity"} <= data.keys():
            raise CallError("ValidationException", "A new target needs MinCapacity and MaxCapacity")
        target = _targets[identify(data)] = {
            "ScalableTargetARN": build_arn(SERVICE, f"scalable-target/{uuid.uuid4().hex}"),
            "CreationTime": time.time(),
            "RoleARN": ROLE.format(account=get_account_id()),
            "SuspendedState": {
                "DynamicScalingInSuspended": False,
                "DynamicScalingOutSuspended": False,
                "ScheduledScalingSuspended": False,
            },
            "Tags": {},
        }
    # AWS ignores RoleARN for DynamoDB, and uses the service-linked role.
    target.update({name: value for name, value in data.items() if name != "RoleARN"})
    return {"ScalableTargetARN": target["ScalableTargetARN"]}


def describe_targets(data: Data) -> Data:
    """Returns the targets of a service, without their tags."""
    targets = [
        {name: value for name, value in target.items() if name != "Tags"}
        for target in find_entries(_targets, data)
        if target["ResourceId"] in data.get("ResourceIds", [target["ResourceId"]])
    ]
    return {"ScalableTargets": targets}


def find_entries(store: AccountRegionScopedDict, data: Data) -> Iterator[Data]:
    """Yields the entries that match all parameters of IDENTITY in the call."""
    for entry in store.values():
        if all(entry[name] == data[name] for name in IDENTITY if name in data):
            yield entry


def find_target(data: Data) -> Data:
    """Returns the target that a call names.

    Raises:
        CallError: the target is not registered.
    """
    target: Data | None = _targets.get(identify(data))
    if target is None:
        message = f"The scalable target {identify(data)} does not exist"
        raise CallError("ObjectNotFoundException", message)
    return target


def deregister_target(data: Data) -> Data:
    """Deletes a target and its policies, as AWS does."""
    find_target(data)
    for policy in list(find_entries(_policies, data)):
        delete_policy(policy)
    del _targets[identify(data)]
    return {}


def put_policy(data: Data) -> Data:
    """Stores or replaces a scaling policy. Unlike AWS, creates no alarms."""
    find_target(data)
    key = (*identify(data), data["PolicyName"])
    known = _policies.get(key) or {
        "PolicyARN": build_arn(
            "autoscaling",
            f"scalingPolicy:{uuid.uuid4()}:resource/{data['ServiceNamespace']}/"
            f"{data['ResourceId']}:policyName/{data['PolicyName']}",
        ),
        "CreationTime": time.time(),
        "Alarms": [],
    }
    _policies[key] = {**known, **data}
    return {"PolicyARN": known["PolicyARN"], "Alarms": []}


def describe_policies(data: Data) -> Data:
    """Returns the policies of a service or target."""
    policies = [
        policy
        for policy in find_entries(_policies, data)
        if policy["PolicyName"] in data.get("PolicyNames", [policy["PolicyName"]])
    ]
    return {"ScalingPolicies": policies}


def delete_policy(data: Data) -> Data:
    """Deletes a scaling policy."""
    if _policies.pop((*identify(data), data["PolicyName"]), None) is None:
        message = f"The scaling policy {data['PolicyName']} does not exist"
        raise CallError("ObjectNotFoundException", message)
    return {}


def find_tagged(data: Data) -> Data:
    """Returns the target with the ARN that a call names.

    Raises:
        CallError: no target has the ARN.
    """
    for target in _targets.values():
        if target["ScalableTargetARN"] == data["ResourceARN"]:
            tagged: Data = target
            return tagged
    raise CallError("ResourceNotFoundException", f"{data['ResourceARN']} does not exist")


def tag_target(data: Data) -> Data:
    """Adds tags to a target, or replaces their values."""
    find_tagged(data)["Tags"].update(data["Tags"])
    return {}


def untag_target(data: Data) -> Data:
    """Removes tags from a target."""
    for key in data["TagKeys"]:
        find_tagged(data)["Tags"].pop(key, None)
    return {}
