"""Adds X-Ray's groups. They have no traces, because the embedded AWS records none."""

from __future__ import annotations

import uuid

from ministack.core.responses import AccountRegionScopedDict

from .additions import CallError, Data, add_service, build_arn

_groups = AccountRegionScopedDict()
"""Groups by name, with their tags."""
SETTINGS = ("FilterExpression", "InsightsConfiguration")


def add_trace_groups() -> None:
    """Adds the X-Ray actions that Terraform's provider calls."""
    add_service(
        "xray",
        {
            "CreateGroup": create_group,
            "GetGroup": lambda data: {"Group": describe(find_group(data))},
            "GetGroups": lambda _: {"Groups": [describe(group) for group in _groups.values()]},
            "UpdateGroup": update_group,
            "DeleteGroup": delete_group,
            "TagResource": tag_group,
            "UntagResource": untag_group,
            "ListTagsForResource": lambda data: {"Tags": find_group(data)["Tags"]},
        },
        find_resource,
        groups=_groups,
    )


def find_resource(data: Data) -> str:
    """Returns the ARN that a call names. If the call has only a name, the id in the ARN is `*`."""
    arn: str | None = data.get("GroupARN") or data.get("ResourceARN")
    name = data.get("GroupName")
    return arn or (build_arn("xray", f"group/{name}/*") if name else "*")


def find_group(data: Data) -> Data:
    """Returns the group that a call names by its name or ARN.

    Raises:
        CallError: no such group exists.
    """
    names = {data.get("GroupName"), data.get("GroupARN"), data.get("ResourceARN")}
    for group in _groups.values():
        if group["GroupName"] in names or group["GroupARN"] in names:
            named: Data = group
            return named
    raise CallError("InvalidRequestException", "Group not found")


def describe(group: Data) -> Data:
    """Returns a group as AWS does, without its tags."""
    return {name: value for name, value in group.items() if name != "Tags"}


def create_group(data: Data) -> Data:
    """Stores a new group."""
    name = data["GroupName"]
    if name in _groups:
        raise CallError("InvalidRequestException", f"Group {name} already exists")
    _groups[name] = {
        "GroupName": name,
        "GroupARN": build_arn("xray", f"group/{name}/{uuid.uuid4().hex.upper()}"),
        "FilterExpression": data.get("FilterExpression", ""),
        "InsightsConfiguration": {
            "InsightsEnabled": False,
            "NotificationsEnabled": False,
            **data.get("InsightsConfiguration", {}),
        },
        "Tags": data.get("Tags", []),
    }
    return {"Group": describe(_groups[name])}


def update_group(data: Data) -> Data:
    """Updates a group with the settings in the call."""
    group = find_group(data)
    group.update({name: data[name] for name in SETTINGS if name in data})
    return {"Group": describe(group)}


def delete_group(data: Data) -> Data:
    """Deletes an X-Ray group."""
    del _groups[find_group(data)["GroupName"]]
    return {}


def tag_group(data: Data) -> Data:
    """Adds tags to a group, or replaces their values."""
    untag_group({**data, "TagKeys": [tag["Key"] for tag in data["Tags"]]})
    find_group(data)["Tags"] += data["Tags"]
    return {}


def untag_group(data: Data) -> Data:
    """Removes tags from a group."""
    group = find_group(data)
    group["Tags"] = [tag for tag in group["Tags"] if tag["Key"] not in data["TagKeys"]]
    return {}
