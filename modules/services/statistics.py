"""The consumer of the work queue: it makes profiles and keeps their statistics."""

from __future__ import annotations

from constructs import Construct

from modules.base.event_source import QueueSource
from modules.base.function import FunctionPlatform, LambdaFunction
from modules.base.queue import DLQ_RETENTION, Queue
from modules.base.table import Table
from modules.services.statements import queue_key, queue_receiving, table_access

DAY = 86_400


class Statistics(Construct):
    """The function that follows events of users, posts, comments and likes.

    Args:
        platform: what it shares with the other functions.
        work_queue: brings the events.
        profiles: the profiles, whose statistics it changes.
        counted_events: which events it has counted.

    Attributes:
        function: the function.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        platform: FunctionPlatform,
        work_queue: Queue,
        profiles: Table,
        counted_events: Table,
    ) -> None:
        super().__init__(scope, id_)
        environment = platform.environment
        # An event can come again from the archive, and then wait once more in the queue and in its dead-letter queue.
        remember_days = environment.monitoring.log_retention_days + 2 * DLQ_RETENTION // DAY
        self.function = LambdaFunction(
            self,
            "function",
            platform=platform,
            function="statistics",
            description="Makes profiles and keeps their statistics",
            variables={
                "DYNAMODB_TABLE_PROFILES": profiles.name,
                "DYNAMODB_TABLE_COUNTED_EVENTS": counted_events.name,
                "REMEMBER_DAYS": str(remember_days),
            },
            statements=[
                # A profile is made by an update that changes nothing where there is one.
                table_access("Profiles", profiles, "UpdateItem"),
                table_access("CountedEvents", counted_events, "PutItem"),
                queue_receiving(work_queue),
                queue_key(platform.names, work_queue),
            ],
        )
        QueueSource(self, "source", function=self.function, queue=work_queue)
