"""A CloudWatch log group with the environment's retention period."""

from __future__ import annotations

from cdktf_cdktf_provider_aws.cloudwatch_log_group import CloudwatchLogGroup
from constructs import Construct

from environments import Environment
from modules.base.naming import service_tag


class LogGroup(CloudwatchLogGroup):
    """A log group.

    Args:
        environment: The environment, which sets the retention period.
        name: The group's name, as required by the AWS service that writes the logs.
        service: The value of the Service tag.
    """

    def __init__(
        self, scope: Construct, id_: str, *, environment: Environment, name: str, service: str
    ) -> None:
        super().__init__(
            scope,
            id_,
            name=name,
            retention_in_days=environment.monitoring.log_retention_days,
            tags=service_tag(service),
        )
