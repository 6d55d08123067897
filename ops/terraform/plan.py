"""Reads the output of `terraform show -json` for a plan, and masks its sensitive values."""

from __future__ import annotations

import enum
import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import BaseModel, ValidationError

from environments.resource_names import DEFAULT_REGION
from ops.errors import OperatorError
from ops.terraform.outside_changes import outside_changes
from ops.terraform.plan_values import (
    UNKNOWN,
    Difference,
    Sensitive,
    differences,
    marked_paths,
    marks_at,
    masked,
    merge_marks,
)
from ops.terraform.provider_types import secret_attributes

FORMAT = "1."
"""Supported major format version of `terraform show -json`. Minor versions only add fields."""
MIRRORED = ("tags_all",)
"""Attributes that are omitted from differences, because they repeat other attributes."""
CONTENTS = ("planned_values", "resource_changes", "output_changes", "action_invocations",
    "deferred_changes", "deferred_action_invocations")  # fmt: skip
"""Fields of a plan's JSON that a state's JSON does not have."""


class Action(enum.StrEnum):
    """The action that a plan takes on a resource."""

    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    DESTROY = "destroy"
    FORGET = "forget"
    """Terraform removes the resource from the state but does not destroy it."""
    MOVE = "move"
    """A `moved` block changes the resource's address."""
    IMPORT = "import"
    """Terraform adds an existing resource to the state without changing it."""
    SUPERSEDE = "create-and-forget"
    """Terraform creates a new object, and removes the old object only from the state."""
    NONE = "no-op"

    @property
    def past_participle(self) -> str:
        """The past participle for summaries, for example `created`."""
        return {
            "create": "created",
            "update": "changed",
            "replace": "replaced",
            "destroy": "destroyed",
            "forget": "forgotten",
            "move": "moved",
            "import": "imported",
            "create-and-forget": "superseded",
        }.get(self.value, "unchanged")


_ACTIONS = {
    ("create",): Action.CREATE,
    ("update",): Action.UPDATE,
    ("delete",): Action.DESTROY,
    ("delete", "create"): Action.REPLACE,
    ("create", "delete"): Action.REPLACE,
    ("create", "forget"): Action.SUPERSEDE,
    ("forget", "create"): Action.SUPERSEDE,
    ("forget",): Action.FORGET,
    ("read",): Action.NONE,
    ("no-op",): Action.NONE,
}


class _Importing(BaseModel):
    id: str | None = None
    identity: Any = None


class _Change(BaseModel):
    actions: list[str]
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    before_sensitive: Any = None
    after_sensitive: Any = None
    after_unknown: Any = None
    replace_paths: list[list[str | int]] | None = None
    importing: _Importing | None = None


class _Resource(BaseModel):
    address: str
    mode: str
    type: str
    name: str | None = None
    previous_address: str | None = None
    deposed: str | None = None
    change: _Change


class _Output(BaseModel):
    actions: list[str]


class _Deferred(BaseModel):
    reason: str = "unknown"
    resource_change: _Resource


class _Invocation(BaseModel):
    address: str
    type: str


class _DeferredInvocation(BaseModel):
    reason: str = "unknown"
    action_invocation: _Invocation


class _ConfiguredResource(BaseModel):
    address: str
    expressions: dict[str, Any] | None = None


class _ConfiguredCall(BaseModel):
    module: _ConfiguredModule | None = None


class _ConfiguredModule(BaseModel):
    resources: list[_ConfiguredResource] | None = None
    module_calls: dict[str, _ConfiguredCall] | None = None


class _Configuration(BaseModel):
    provider_config: Any = None
    root_module: _ConfiguredModule | None = None


class _Document(BaseModel):
    """The fields of a plan's JSON that this module reads. Terraform omits empty fields."""

    format_version: str
    terraform_version: str | None = None
    timestamp: str | None = None
    errored: bool = False
    complete: bool = True
    resource_changes: list[_Resource] | None = None
    resource_drift: list[_Resource] | None = None
    deferred_changes: list[_Deferred] | None = None
    output_changes: dict[str, _Output] | None = None
    action_invocations: list[_Invocation] | None = None
    deferred_action_invocations: list[_DeferredInvocation] | None = None
    configuration: _Configuration | None = None


@dataclass(frozen=True)
class Change:
    """A planned change of one resource."""

    address: str
    type: str
    action: Action
    before: Mapping[str, Any]
    """Current values. Empty for a new resource. Sensitive values are masked."""
    after: Mapping[str, Any]
    """Planned values. Empty for a destroyed resource. Sensitive and unknown values are masked."""
    forced_by: tuple[str, ...] = ()
    """Attributes that cannot be updated in place and therefore force a replacement."""
    moved_from: str | None = None
    name: str | None = None
    """The resource's label in the configuration, without module and instance key."""
    deposed: str | None = None
    """Terraform's key of a deposed object: an old object that remains from a failed replacement."""
    imported: str | None = None
    """The identifier under which the plan imports the resource."""
    sensitivity_changes: tuple[str, ...] = ()
    """Attributes that are marked as sensitive either before or after the change, but not both."""

    @property
    def key(self) -> str:
        """The address, followed by the key of a deposed object. Unique in a plan."""
        return f"{self.address} {self.deposed}" if self.deposed else self.address

    @cached_property
    def differences(self) -> tuple[Difference, ...]:
        """Attributes that change to a known value.

        For a created or destroyed resource, these are all attributes with a known value.
        """
        return tuple(item for item in self._all_differences if item.after is not UNKNOWN)

    @cached_property
    def unknown_differences(self) -> tuple[Difference, ...]:
        """Attributes whose new value is known only after the apply."""
        return tuple(item for item in self._all_differences if item.after is UNKNOWN)

    @cached_property
    def unknown(self) -> tuple[str, ...]:
        """The paths of the attributes whose new value is known only after the apply."""
        return tuple(item.path for item in self.unknown_differences)

    @cached_property
    def _all_differences(self) -> list[Difference]:
        items = differences(self.before or None, self.after or None)
        changed = [item for item in items if item.path.partition(".")[0] not in MIRRORED]
        return [*changed, *(item for item in self._markings if not _is_inside(item, changed))]

    @property
    def _markings(self) -> Iterable[Difference]:
        for path in self.sensitivity_changes if self.action is Action.UPDATE else ():
            value = Sensitive(path.encode())
            yield Difference(path, value, value, _without_items(path))

    @property
    def tags(self) -> Mapping[str, Any]:
        """The resource's planned tags, or the current tags of a destroyed resource."""
        tags = self.after.get("tags") or self.before.get("tags")
        return tags if isinstance(tags, Mapping) else {}


@dataclass(frozen=True)
class Deferral:
    """A change that the plan defers to a later plan."""

    change: Change
    reason: str
    """Terraform's name of the reason, for example `provider_config_unknown`."""


@dataclass(frozen=True)
class Invocation:
    """A Terraform action that the apply invokes, for example to call a Lambda function."""

    address: str
    type: str
    deferred: str | None = None
    """The reason why the action is deferred to a later plan, or None."""


@dataclass(frozen=True)
class Plan:
    """A plan's changes."""

    terraform_version: str
    created_at: str | None
    """Creation time in RFC 3339 format."""
    resources: tuple[Change, ...]
    """All managed resources, including unchanged ones."""
    outputs: tuple[str, ...]
    """Names of the outputs that change."""
    drifted: tuple[str, ...]
    """Addresses of resources that were changed outside Terraform since the last apply."""
    region: str
    deferred: tuple[Deferral, ...] = ()
    invocations: tuple[Invocation, ...] = ()
    complete: bool = True
    """False if another plan is necessary after the apply, because this plan is limited to targets
    or defers changes.
    """

    @cached_property
    def changes(self) -> tuple[Change, ...]:
        """The planned changes, without resources that stay the same."""
        return tuple(change for change in self.resources if change.action is not Action.NONE)


def read_plan(document: Any) -> Plan:
    """Reads a plan.

    Args:
        document: The output of `terraform show -json PLAN`.

    Raises:
        OperatorError: The document is not a plan, or the plan is incomplete.
    """
    if (
        not isinstance(document, Mapping)
        or not isinstance(document.get("format_version"), str)
        or not any(name in document for name in CONTENTS)
    ):
        raise OperatorError(
            "The file is not a plan: use a file that `terraform plan -out` wrote, or the output of"
            " `terraform show -json` for it"
        )
    if not document["format_version"].startswith(FORMAT):
        raise OperatorError(
            f"The plan has the format version {document['format_version']}, but only {FORMAT}x is"
            " supported: use Terraform 1.11 or a newer 1.x"
        )
    plan = _validated(document)
    if plan.errored:
        raise OperatorError(
            "The plan is incomplete because planning failed. Run `terraform plan` again"
        )
    changes = [_change(item) for item in plan.resource_changes or [] if item.mode == "managed"]
    invocations = [
        *(Invocation(item.address, item.type) for item in plan.action_invocations or []),
        *(
            Invocation(item.action_invocation.address, item.action_invocation.type, item.reason)
            for item in plan.deferred_action_invocations or []
        ),
    ]
    return Plan(
        terraform_version=plan.terraform_version or "unknown",
        created_at=plan.timestamp,
        resources=tuple(sorted(changes, key=lambda change: (change.address, change.deposed or ""))),
        outputs=tuple(
            sorted(
                name
                for name, item in (plan.output_changes or {}).items()
                if item.actions != ["no-op"]
            )
        ),
        drifted=tuple(item.address for item in outside_changes(document)),
        region=_region(plan.configuration.provider_config if plan.configuration else None),
        deferred=tuple(
            Deferral(_change(item.resource_change), item.reason)
            for item in plan.deferred_changes or []
            if item.resource_change.mode == "managed"
        ),
        invocations=tuple(invocations),
        complete=plan.complete and not plan.deferred_changes,
    )


def _validated(document: Mapping[str, Any]) -> _Document:
    try:
        return _Document.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        location = ".".join(str(part) for part in first["loc"])
        raise OperatorError(
            f"The plan's JSON is damaged at {location} ({first['msg']}): use the complete output of"
            " `terraform show -json PLAN`"
        ) from error


def _region(value: Any) -> str:
    for key in ("aws", "expressions", "region", "constant_value"):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, str) and value else DEFAULT_REGION


def _change(item: _Resource) -> Change:
    change = item.change
    action = _ACTIONS.get(tuple(change.actions))
    if action is None:
        raise OperatorError(
            f"The plan has the actions [{', '.join(change.actions)}] for {item.address}, which the"
            " review does not support: review the plan with `terraform show`"
        )
    imported = None
    if change.importing:
        imported = change.importing.id or _identity_text(change.importing.identity)
    if action is Action.NONE and (imported or item.previous_address):
        action = Action.IMPORT if imported else Action.MOVE
    marked = merge_marks(change.before_sensitive, change.after_sensitive)
    # Also masks the attributes that are secret according to the provider's schemas, because plans
    # of other tools and of old Terraform versions do not mark all of them as sensitive.
    secret = secret_attributes(item.type)
    sensitive = functools.reduce(
        merge_marks,
        (marks_at(values, secret) for values in (change.before, change.after)),
        marked,
    )
    return Change(
        address=item.address,
        type=item.type,
        action=action,
        before=_masked_values(change.before, sensitive),
        after=_masked_values(change.after, sensitive, change.after_unknown),
        forced_by=tuple(dict.fromkeys(_path(path) for path in change.replace_paths or [])),
        moved_from=item.previous_address,
        name=item.name,
        deposed=item.deposed,
        imported=imported,
        sensitivity_changes=tuple(
            sorted(
                set(marked_paths(change.before_sensitive))
                ^ set(marked_paths(change.after_sensitive))
            )
        ),
    )


def _identity_text(identity: Any) -> str:
    if not isinstance(identity, Mapping) or not identity:
        return "(known after apply)"
    return ", ".join(f"{name}={value}" for name, value in identity.items() if value is not None)


def _masked_values(
    values: Mapping[str, Any] | None, sensitive: Any, unknown: Any = False
) -> Mapping[str, Any]:
    """Returns the masked values of a resource. A mark on the whole resource masks every value."""
    if sensitive is True:
        sensitive = dict.fromkeys(values or {}, True)
    if unknown is True:
        unknown = dict.fromkeys(values or {}, True)
    return masked(values, sensitive, unknown) or {}


def _path(parts: list[str | int]) -> str:
    return ".".join(str(part) for part in parts if not isinstance(part, int))


def _without_items(path: str) -> str:
    return ".".join(part.partition("[")[0] for part in path.split("."))


def _is_inside(marking: Difference, others: Iterable[Difference]) -> bool:
    return any(item.is_at(marking.attribute) or marking.is_at(item.attribute) for item in others)
