"""Applies all corrections to ministack and runs it."""

from __future__ import annotations

import os
from pathlib import Path

import ministack.app
from ministack.core import persistence

from .additions import add_events_request
from .autoscaling import add_autoscaling
from .calls import deduplicate_calls
from .connections import manage_connections, raise_descriptor_limit
from .corrections import (
    allow_requests_after_clock_changes,
    deliver_after_clock_changes,
    follow_alias_of_websockets,
    ignore_ports_of_rules_for_all_protocols,
    keep_websockets_after_deep_frames,
    omit_extra_response_fields,
    page_log_events,
    register_each_address_once,
    render_ids_of_mock_responses,
    report_current_port_of_cache,
    return_complete_alarms,
    return_tag_of_updated_functions,
    store_auto_pause,
    store_interface_endpoints,
    store_response_bodies,
    support_all_zones,
)
from .durability.durable_stores import DurableStores
from .durability.journal import Journal
from .durability.saving import Saver, add_save_request
from .internals import verify
from .ipv6 import add_ipv6
from .log_settings import store_log_settings
from .logins import add_login_request, store_authentication_mode
from .objects import persist_before_acknowledging
from .request_logs import log_requests
from .trace_groups import add_trace_groups
from .transport import serve_with_tls
from .workers import (
    end_invocations_at_stop,
    keep_workers_after_errors,
    limit_workers,
    read_logs_to_their_end,
)


def apply_corrections() -> None:
    """Applies all corrections. Requires the environment variables that `services.Aws` sets."""
    manage_connections()
    plain_port = os.environ["PLAIN_PORT"]
    serve_with_tls(
        os.environ["BIND_HOST"],
        int(os.environ["GATEWAY_PORT"]),
        int(plain_port) if plain_port else None,
    )
    follow_alias_of_websockets()
    omit_extra_response_fields()
    return_complete_alarms()
    ignore_ports_of_rules_for_all_protocols()
    keep_websockets_after_deep_frames()
    render_ids_of_mock_responses()
    return_tag_of_updated_functions()
    register_each_address_once()
    page_log_events()
    allow_requests_after_clock_changes()
    deliver_after_clock_changes()
    report_current_port_of_cache()
    store_authentication_mode()
    add_autoscaling()
    add_trace_groups()
    store_log_settings()
    store_response_bodies()
    store_auto_pause()
    store_interface_endpoints()
    support_all_zones()
    add_ipv6()
    limit_workers()
    end_invocations_at_stop()
    keep_workers_after_errors()
    read_logs_to_their_end()
    log_requests()
    persist_before_acknowledging()
    state = Path(persistence.STATE_DIR)
    journal = Journal(state.parent / "journal")
    saver = Saver(DurableStores(journal), journal, state)
    saver.install()
    application = add_save_request(ministack.app.app, os.environ["SAVE_PATH"], saver)
    application = add_login_request(application, os.environ["LOGIN_PATH"])
    application = add_events_request(application, os.environ["EVENTS_PATH"])
    ministack.app.app = deduplicate_calls(application)


def main() -> None:
    verify()
    raise_descriptor_limit()
    apply_corrections()
    ministack.app.main()
