"""An encrypted DynamoDB table. The environment determines its protection and billing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cdktf import TerraformResourceLifecycle
from cdktf_cdktf_provider_aws.appautoscaling_policy import AppautoscalingPolicy
from cdktf_cdktf_provider_aws.appautoscaling_target import AppautoscalingTarget
from cdktf_cdktf_provider_aws.dynamodb_table import (
    DynamodbTable,
    DynamodbTableAttribute,
    DynamodbTableGlobalSecondaryIndex,
    DynamodbTablePointInTimeRecovery,
    DynamodbTableServerSideEncryption,
    DynamodbTableTtl,
)
from constructs import Construct

from environments.model import CapacityRange
from modules.base.naming import Names, service_tag

TTL_ATTRIBUTE = "expires_at"
"""The attribute with an item's expiry time, in epoch seconds."""


@dataclass(frozen=True)
class Table:
    """The names and ARNs of a table, for the constructs that use the table."""

    name: str
    resource: str
    """The resource part of the name, for example `rate-limits`."""
    arn: str
    index_arns: Sequence[str]
    stream_arn: str | None = None
    """The ARN of the table's stream, or None if the table has no stream."""
    recoverable: bool = False
    """Whether the table has point-in-time recovery, which exports require."""


@dataclass(frozen=True, kw_only=True)
class Index:
    """A global secondary index that projects all attributes."""

    name: str
    hash_key: str
    range_key: str | None = None


@dataclass(frozen=True, kw_only=True)
class TableDefinition:
    """The definition of a table. Every key is a string."""

    service: str
    resource: str
    hash_key: str
    range_key: str | None = None
    indexes: Sequence[Index] = ()
    ttl: bool = False
    stream: bool = False
    """Whether the table has a stream, with new and old images of every change."""
    always_recoverable: bool = False
    """Whether point-in-time recovery is always on. If False, the environment's setting applies."""
    transient: bool = False
    """Whether losing the data is harmless. If so, recovery and deletion protection are off."""

    @property
    def name(self) -> str:
        """The name without the environment, for example `auth-sessions`."""
        return f"{self.service}-{self.resource}"


class DynamoTable(Construct):
    """A DynamoDB table in one environment.

    Args:
        names: The environment, which determines billing and protection, and its resource names.
        definition: The table's definition.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        names: Names,
        definition: TableDefinition,
    ) -> None:
        super().__init__(scope, id_)
        environment = names.environment
        dynamodb = environment.dynamodb
        provisioned = dynamodb.billing_mode == "PROVISIONED"
        self._read_units = dynamodb.read.min if provisioned else None
        self._write_units = dynamodb.write.min if provisioned else None
        retain = environment.retains_data and not definition.transient
        recoverable = definition.always_recoverable or (
            dynamodb.point_in_time_recovery and not definition.transient
        )
        table = DynamodbTable(
            self,
            "table",
            name=names.of(definition.service, definition.resource),
            billing_mode=dynamodb.billing_mode,
            read_capacity=self._read_units,
            write_capacity=self._write_units,
            hash_key=definition.hash_key,
            range_key=definition.range_key,
            attribute=_key_attributes(definition),
            global_secondary_index=self._indexes(definition.indexes),
            ttl=DynamodbTableTtl(attribute_name=TTL_ATTRIBUTE, enabled=True)
            if definition.ttl
            else None,
            stream_enabled=definition.stream or None,
            stream_view_type="NEW_AND_OLD_IMAGES" if definition.stream else None,
            point_in_time_recovery=DynamodbTablePointInTimeRecovery(enabled=recoverable),
            server_side_encryption=DynamodbTableServerSideEncryption(enabled=True),
            deletion_protection_enabled=retain,
            tags=service_tag(definition.service),
            lifecycle=_lifecycle(retain=retain, provisioned=provisioned),
        )
        self.table = Table(
            name=table.name,
            resource=definition.resource,
            arn=table.arn,
            index_arns=[f"{table.arn}/index/{index.name}" for index in definition.indexes],
            stream_arn=table.stream_arn if definition.stream else None,
            recoverable=recoverable,
        )
        if provisioned:
            limits = dynamodb.read, dynamodb.write
            self._autoscale("table", f"table/{table.name}", "table", *limits)
            for index in definition.indexes:
                resource = f"table/{table.name}/index/{index.name}"
                self._autoscale(index.name, resource, "index", *limits)

    def _indexes(
        self, indexes: Sequence[Index]
    ) -> Sequence[DynamodbTableGlobalSecondaryIndex] | None:
        return [
            DynamodbTableGlobalSecondaryIndex(
                name=index.name,
                hash_key=index.hash_key,
                range_key=index.range_key,
                projection_type="ALL",
                read_capacity=self._read_units,
                write_capacity=self._write_units,
            )
            for index in indexes
        ] or None

    def _autoscale(
        self, id_: str, resource: str, kind: str, read: CapacityRange, write: CapacityRange
    ) -> None:
        for direction, capacity in (("Read", read), ("Write", write)):
            target = AppautoscalingTarget(
                self,
                f"{id_}-{direction.lower()}-target",
                service_namespace="dynamodb",
                resource_id=resource,
                scalable_dimension=f"dynamodb:{kind}:{direction}CapacityUnits",
                min_capacity=capacity.min,
                max_capacity=capacity.max,
            )
            AppautoscalingPolicy(
                self,
                f"{id_}-{direction.lower()}-policy",
                name=f"{resource.replace('/', '-')}-{direction.lower()}",
                policy_type="TargetTrackingScaling",
                service_namespace=target.service_namespace,
                resource_id=target.resource_id,
                scalable_dimension=target.scalable_dimension,
                target_tracking_scaling_policy_configuration={
                    "target_value": capacity.target_utilization,
                    "predefined_metric_specification": {
                        "predefined_metric_type": f"DynamoDB{direction}CapacityUtilization"
                    },
                },
            )


def _key_attributes(definition: TableDefinition) -> list[DynamodbTableAttribute]:
    """Returns the attributes of all keys, without duplicates. Each is a string."""
    keys = [definition.hash_key, definition.range_key]
    for index in definition.indexes:
        keys += [index.hash_key, index.range_key]
    return [DynamodbTableAttribute(name=key, type="S") for key in sorted(set(filter(None, keys)))]


def _lifecycle(*, retain: bool, provisioned: bool) -> TerraformResourceLifecycle | None:
    if not (retain or provisioned):
        return None
    # Autoscaling changes the capacities of the table and its indexes. An apply must not revert
    # these changes.
    scaled = ["read_capacity", "write_capacity", "global_secondary_index"]
    return TerraformResourceLifecycle(
        prevent_destroy=retain or None, ignore_changes=scaled if provisioned else None
    )
