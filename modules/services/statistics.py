"""The consumer of the work queue, which creates profiles and updates their statistics."""

from __future__ import annotations

from constructs import Construct

from modules.base.event_source import QueueSource
from modules.base.function import FunctionPlatform, LambdaFunction
from modules.base.queue import DLQ_RETENTION, Queue
from modules.base.table import Table
from modules.services.statements import queue_key, queue_receiving, table_access

DAY = 86_400


class Statistics(Construct):
    """The function that processes events about users, posts, comments and likes.

    Args:
        platform: What all functions share.
        work_queue: The queue of events.
        profiles: The table of profiles with their statistics.
        counted_events: The table of events already counted.

    Attributes:
        function: The function.
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
        # An event can be replayed from the archive, and then wait in the queue and in its
        # dead-letter queue.
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
                # An update creates a missing profile, and does not overwrite an existing one.
                table_access("Profiles", profiles, "UpdateItem"),
                table_access("CountedEvents", counted_events, "PutItem"),
                queue_receiving(work_queue),
                queue_key(platform.names, work_queue),
            ],
        )
        QueueSource(self, "source", function=self.function, queue=work_queue)
