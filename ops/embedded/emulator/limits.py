"""Limits the logs, metrics, streams and other data that ministack would otherwise keep too long."""

from __future__ import annotations

import asyncio
from typing import Any

from ministack.core.responses import AccountRegionScopedDict
from ministack.services import (
    cloudwatch,
    cloudwatch_logs,
    cognito,
    dynamodb,
    eventbridge,
    lambda_svc,
    ses,
)

INTERVAL = 30.0
"""Seconds between two checks."""
LOG_STREAMS = 50
"""Streams to keep per log group. Every day, each version of a function starts a new stream."""
LOG_EVENTS = 2000
"""Events to keep per log stream."""
GROUP_EVENTS = 2000
"""Events to keep per log group: those of about 400 invocations. They use about 2 MB of memory, and
1 MB in a full save."""
METRIC_POINTS = 2000
"""Values to keep per metric: enough for the periods of alarms and dashboards at 10 requests/s."""
STREAM_RECORDS = 1000
"""Stream records per table to keep after all functions read them. AWS keeps them for 24 hours."""
TRANSACTIONS = 500
"""Number of past DynamoDB transactions to remember, with their items, so that a repeated request is
recognized. AWS remembers a transaction for 10 minutes."""
KEY_ONLY_ITEMS = 20_000
"""Items to keep per table that contain only their key and an expiry time, such as the ids of
counted events. They use 20 MB of memory and 6 MB on disk. AWS keeps them until they expire.

The functions use them only to recognize repeated events. A replay of an archive repeats at most
ARCHIVED_EVENTS.
"""
ARCHIVED_EVENTS = 2000
"""Events to keep per EventBridge archive: 7 MB. AWS keeps them for the archive's retention time."""
PUBLISHED_EVENTS = 100
"""Delivered EventBridge events to keep. ministack stores them, but nothing reads them."""
MAILS = 1000
"""Sent emails to keep. `ops code` searches them for verification codes."""
SIGN_INS = 100
"""Number of sign-ins that are kept for each Cognito user.

A global sign-out revokes only the tokens of these sign-ins.
"""
ALARM_HISTORY = 1000
"""State changes to keep for all alarms together."""


def limit_data() -> None:
    """Deletes data above the limits immediately and every INTERVAL seconds from then on.

    Call it in the server's event loop.
    """
    trim_all()
    asyncio.get_running_loop().call_later(INTERVAL, limit_data)


def trim_all() -> None:
    """Deletes the oldest data above each limit."""
    trim_logs()
    for points in cloudwatch._metrics.all_values():
        del points[:-METRIC_POINTS]
    for entries in cloudwatch._alarm_history.all_values():
        # The history starts with the newest entry, unlike the other lists.
        del entries[ALARM_HISTORY:]
    for archive in eventbridge._archives.all_values():
        del archive.get("Events", [])[:-ARCHIVED_EVENTS]
    for events in eventbridge._events_log.all_values():
        del events[:-PUBLISHED_EVENTS]
    for mails in ses._sent_emails.all_values():
        del mails[:-MAILS]
    for pool in cognito._user_pools.all_values():
        for user in list(pool["_users"].values()):
            del user.get("_origin_jtis", [])[:-SIGN_INS]
    delete_oldest(dynamodb._txn_idempotency, TRANSACTIONS)
    trim_streams()
    trim_key_only_items()


def trim_logs() -> None:
    """Deletes the oldest events of log streams and groups, and the oldest streams of groups."""
    with cloudwatch_logs._log_events_lock:
        for group in cloudwatch_logs._log_groups.all_values():
            streams = group["streams"]
            newest_first = sorted(
                streams, key=lambda name: streams[name]["lastIngestionTime"] or 0, reverse=True
            )
            space = GROUP_EVENTS
            for number, name in enumerate(newest_first):
                if number >= LOG_STREAMS or not space:
                    del streams[name]
                    continue
                events = streams[name]["events"]
                del events[: -min(LOG_EVENTS, space)]
                space -= len(events)
    delete_oldest(cloudwatch_logs._log_records, LOG_EVENTS)


def delete_oldest(store: AccountRegionScopedDict, limit: int) -> None:
    """Deletes the oldest entries of a store until it has at most `limit` entries."""
    for key in list(store._data)[: max(0, len(store._data) - limit)]:
        # Another thread may have deleted the entry.
        store._data.pop(key, None)


def trim_streams() -> None:
    """Deletes the oldest records of each table's stream until it has at most STREAM_RECORDS.

    Keeps records that a function has not read yet.
    """
    for key, records in dynamodb._stream_records.all_items():
        trimmed = dynamodb._stream_trimmed._data.get(key, 0)
        end = trimmed + len(records)
        read = min(positions(key), default=end)
        surplus = min(read - trimmed, len(records) - STREAM_RECORDS)
        if surplus > 0:
            del records[:surplus]
            dynamodb._stream_trimmed._data[key] = trimmed + surplus


def trim_key_only_items() -> None:
    """Deletes items that contain only the key and an expiry time, until KEY_ONLY_ITEMS remain.

    Applies the limit to each table. Begins with the items that expire first.
    """
    with dynamodb._lock:
        for key, setting in dynamodb._ttl_settings.all_items():
            table = dynamodb._tables._data.get(key)
            if table is None or table["ItemCount"] <= KEY_ONLY_ITEMS:
                continue
            expiry = setting["AttributeName"]
            attributes = {element["AttributeName"] for element in table["KeySchema"]} | {expiry}
            key_only_items = sorted(
                (float(item[expiry]["N"]), partition, sort)
                for partition, items in table["items"].items()
                for sort, item in items.items()
                if item.keys() == attributes
            )
            surplus = max(0, len(key_only_items) - KEY_ONLY_ITEMS)
            for _, partition, sort in key_only_items[:surplus]:
                dynamodb._remove_item(table, partition, sort)


def positions(key: Any) -> list[int]:
    """Returns the positions up to which event source mappings have read a table's stream."""
    table = dynamodb._tables._data.get(key, {})
    arn = table.get("LatestStreamArn")
    return [
        lambda_svc._dynamodb_stream_positions._data.get(mapping, 0)
        for mapping, content in lambda_svc._esms.all_items()
        if content.get("EventSourceArn") == arn
    ]
