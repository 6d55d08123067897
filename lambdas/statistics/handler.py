"""The statistics function: handles events from the work queue."""

from collections.abc import Mapping

import msgspec

from lambdas.common.clients import Clients
from lambdas.common.logs import create_logger
from lambdas.common.messaging.consumer import Consume, consume_messages, create_handler
from lambdas.common.settings import Settings, read
from lambdas.statistics.events import Event
from lambdas.statistics.logic import Statistics
from lambdas.statistics.store import StatisticsStore


class StatisticsSettings(Settings, frozen=True, kw_only=True):
    dynamodb_table_profiles: str
    dynamodb_table_counted_events: str
    remember_days: int


def build(environ: Mapping[str, str]) -> Consume:
    settings = read(StatisticsSettings, environ)
    store = StatisticsStore(
        Clients(settings.region).dynamodb,
        settings.dynamodb_table_profiles,
        settings.dynamodb_table_counted_events,
        remember_days=settings.remember_days,
    )
    statistics = Statistics(store)
    events = msgspec.json.Decoder(Event)
    logger = create_logger(settings)
    return lambda batch: consume_messages(
        batch, lambda body: statistics.handle(events.decode(body)), logger
    )


handler = create_handler(build)
