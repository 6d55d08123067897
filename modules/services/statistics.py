"""The statistics function, which counts posts, comments and likes from a queue of events."""

from __future__ import annotations

from constructs import Construct

from modules.base.access import table_access
from modules.base.event_source import queue_source
from modules.base.function import FunctionPlatform, LambdaFunction
from modules.base.queue import DLQ_RETENTION, Queue
from modules.base.table import Table

DAY = 86_400


class Statistics(Construct):
    """The function that processes events about users, posts, comments and likes.

    Args:
        platform: The settings and resources that all functions share.
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
        # An operator can replay an event as long as the archive keeps it. The replayed event can
        # then wait in the queue and in the dead-letter queue. The function must recognize the event
        # even then, so that it does not count the event twice.
        remember_days = environment.monitoring.log_retention_days + 2 * DLQ_RETENTION // DAY
        self.function = LambdaFunction(
            self,
            "function",
            platform=platform,
            function="statistics",
            description="Creates profiles and updates their statistics",
            variables={"REMEMBER_DAYS": str(remember_days)},
            access=[
                # UpdateItem creates a missing profile, or changes some fields of an existing one.
                table_access(profiles, "UpdateItem"),
                table_access(counted_events, "PutItem"),
                queue_source("source", work_queue),
            ],
        )
