"""Saves the state of the services in forked processes, and restores it at the start."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import ministack.app
from ministack.services import lambda_svc

from ..calls import Application, Message
from ..limits import limit_data
from .durable_stores import DurableStores
from .journal import Journal
from .loading import Damage, load_all, load_service, move_damaged_file
from .reserve import Reserve
from .state_files import StateFiles, write_in_child

INTERVAL = 0.25
"""Seconds from a change to the start of a save. A kill loses changes that are not saved yet."""
SYNC_INTERVAL = 0.5
"""Seconds between two syncs of the journal to the disk. A power failure loses unsynced lines."""
FULL_INTERVAL = 60.0
"""Seconds between full saves. They shorten the journal and include logs and metrics."""
FULL_CHECK_INTERVAL = 1.0
"""Seconds between two checks whether a full save is due."""
JOURNAL_LIMIT = 64 * 1024**2
"""Size of the journal in bytes that triggers a full save before FULL_INTERVAL is over."""
SAVE_TIMEOUT = 60.0
"""Seconds after which the process of a save is killed. The save is then retried."""
RETRY_DELAY = 5.0
"""Seconds until a failed save is retried, for example if the disk is full."""
RESERVED_SPACE = 16 * 1024**2
"""Bytes of free disk space below which calls that change data are rejected."""
RESERVE_SIZE = 32 * 1024**2
"""Bytes of disk space to reserve for saves. The state of the platform takes less than 2 MiB, and
its logs at most about 15 MiB."""
POLLER_DELAY = 1.0
"""Seconds after the start until queued messages invoke functions. The functions call this server,
so it must be ready."""
STREAMS = "streams"
"""File name for the state of DynamoDB streams, which ministack itself would not save."""
JOURNALED = frozenset(
    {"PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems"}
    | {"SendMessage", "SendMessageBatch", "DeleteMessage", "DeleteMessageBatch", "PutEvents"}
    | {"ReceiveMessage", "ChangeMessageVisibility", "ChangeMessageVisibilityBatch"}
)
"""Actions after which no save is needed, because the journal contains their changes or the changes
are temporary.
"""
READS = ("Get", "List", "Describe", "BatchGet", "TransactGet", "Query", "Scan", "Head")
"""Name prefixes of actions that only read."""
VOLATILE = frozenset({"cloudwatch", "cloudwatch_logs", "sts", "cloudtrail"})
"""Modules whose data every request changes.

Saves that follow a change omit them, because each save takes CPU time. Full saves include them.
"""
USER_DATA = frozenset({"cognito"})
"""Modules that users change, and whose changes the journal does not contain.

They are saved separately, because saves of the other modules take longer during an apply.
"""


@dataclass(frozen=True)
class Save:
    """A forked process that writes the state of some services."""

    child: int
    number: int
    """A save with a higher number contains a later snapshot."""
    names: frozenset[str]
    """The names of the saved services, and of their state files."""
    changes: dict[str, float]
    """Modules with changes that only this save contains, and the time of the first change of
    each.
    """


class Saver:
    """Saves the services that have changed, INTERVAL seconds after a change.

    A forked child process has a snapshot of the memory, so it saves a consistent state while the
    server continues. Saves of all services take longer. They run in a separate thread, so that they
    do not delay saves of changes.
    """

    def __init__(self, stores: DurableStores, journal: Journal, state: Path) -> None:
        self._stores = stores
        self._journal = journal
        self._state = state
        self._changed: dict[str, float] = {}
        """Modules with unsaved changes, and the time of the first unsaved change of each."""
        self._reserve = Reserve(state.parent / "reserve", RESERVE_SIZE, RESERVED_SPACE)
        self._files = StateFiles(state)
        self._wakes = {True: threading.Event(), False: threading.Event()}
        """Events that start a save of changed modules in USER_DATA (True) or of others (False)."""
        self._children: set[int] = set()
        self._forks = 0
        self._saved_all = time.monotonic()

    def install(self) -> None:
        """Replaces the functions with which ministack loads and saves its state."""
        self._stores.record_changes()
        # Otherwise, a save would delete packages to which a simultaneous save refers.
        lambda_svc._prune_orphan_code_blobs = lambda _: None
        ministack.app._load_persisted_state = self._load_and_start
        ministack.app.save_all = lambda _: self._save_at_exit()
        ministack.app._get_module = self._tracking(ministack.app._get_module)

    async def save_all(self) -> None:
        """Saves the data of all services.

        Raises:
            OSError: the state could not be written.
        """
        await asyncio.get_running_loop().run_in_executor(None, self._save, None)

    def _load_and_start(self) -> None:
        try:
            self._load()
        except BaseException:
            # The process ends here, because hypercorn would ignore the exception and serve requests
            # without the saved state.
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
        self._reserve.fill()
        limit_data()
        self._loop = asyncio.get_running_loop()
        for task in (
            partial(self._save_changes, True),
            partial(self._save_changes, False),
            self._sync_journal,
            self._save_all_if_due,
        ):
            threading.Thread(target=self._repeat, args=(task,), daemon=True).start()

    def _load(self) -> None:
        self._state.mkdir(parents=True, exist_ok=True)
        self._files.delete_partial()
        ensure_poller = lambda_svc._ensure_poller
        lambda_svc._ensure_poller = lambda: None
        damages = load_all(self._state)
        damages += load_service(self._state, STREAMS, self._stores.restore_streams)
        self._stores.wrap_queues()
        lines = list(self._journal.read())
        recovered = self._stores.replay(lines)
        lost = unsaved(record for line in lines for record in line)
        damages += [
            Damage("journal", str(move_damaged_file(segment, self._state)), None)
            for segment in self._journal.damaged
        ]
        if recovered or lost or damages:
            recovery = {
                "recovered": recovered,
                "lost": lost,
                "damages": [asdict(damage) for damage in damages],
            }
            self._files.add_recovery(recovery)
        self._journal.start_segment()
        self._journal.write(["loaded", time.time()])
        lambda_svc._ensure_poller = ensure_poller
        if lambda_svc._esms.has_any():
            asyncio.get_running_loop().call_later(POLLER_DELAY, ensure_poller)

    def _tracking(self, get_module: Callable[[str], Any]) -> Callable[[str], Any]:
        """Wraps `get_module`, so that the handlers of the returned modules report changes."""
        tracked: set[str] = set()

        def get_tracked_module(name: str) -> Any:
            module = get_module(name)
            if name not in tracked:
                tracked.add(name)
                if hasattr(module, "handle_request"):
                    module.handle_request = self._tracked(name, module.handle_request)
            return module

        return get_tracked_module

    def _tracked(self, name: str, handle: Any) -> Any:
        async def handle_and_track(
            method: str, path: str, headers: Any, body: Any, query: Any, **options: Any
        ) -> Any:
            action = find_action(method, path, headers, body, query)
            is_change = name not in VOLATILE and changes_data(method, path, action)
            if is_change:
                self._require_space()
            try:
                return await handle(method, path, headers, body, query, **options)
            finally:
                if is_change and action not in JOURNALED:
                    self._mark(name)

        return handle_and_track

    def _require_space(self) -> None:
        """Raises OSError if the disk is full, before a call changes data in memory.

        Otherwise, a retry of the call could find the change in memory, and succeed although the
        change is not on the disk.
        """
        if not (self._reserve.is_full and self._reserve.has_space()):
            raise OSError(errno.ENOSPC, "The disk is full")

    def _mark(self, module: str) -> None:
        if module not in self._changed:
            now = time.time()
            self._changed[module] = now
            self._journal.write(["changed", module, now])
        self._wakes[module in USER_DATA].set()

    def _repeat(self, task: Callable[[], None]) -> None:
        while True:
            try:
                task()
            except Exception as error:
                # If the disk is full, writing to the log fails too, because the log is on the same
                # disk.
                with suppress(OSError):
                    print(f"Saving failed and is retried: {error}", file=sys.stderr, flush=True)
                if self._reserve.has_space() or not self._reserve.free():
                    time.sleep(RETRY_DELAY)
                for wake in self._wakes.values():
                    wake.set()

    def _save_changes(self, is_user_data: bool) -> None:
        self._wakes[is_user_data].wait()
        self._wakes[is_user_data].clear()
        time.sleep(INTERVAL)
        self._save(is_user_data)

    def _sync_journal(self) -> None:
        time.sleep(SYNC_INTERVAL)
        self._reserve.fill()
        self._journal.sync()

    def _save_all_if_due(self) -> None:
        time.sleep(FULL_CHECK_INTERVAL)
        age = time.monotonic() - self._saved_all
        if self._journal.size > 0 and (age > FULL_INTERVAL or self._journal.size > JOURNAL_LIMIT):
            self._save(None)

    def _save(self, is_user_data: bool | None) -> None:
        """Saves services to the state files.

        Args:
            is_user_data: True saves the changed services in USER_DATA, and False the other changed
                services. None saves all services.
        """
        if is_user_data is not None and not self._changes(is_user_data):
            return
        # Forking on the thread that executes calls ensures that no call is half executed.
        fork = asyncio.run_coroutine_threadsafe(self._fork_when_idle(is_user_data), self._loop)
        saves, segment = fork.result()
        self._complete(saves, segment)

    def _changes(self, is_user_data: bool) -> dict[str, float]:
        changes = self._changed.copy()
        return {
            module: since
            for module, since in changes.items()
            if (module in USER_DATA) == is_user_data
        }

    async def _fork_when_idle(self, is_user_data: bool | None) -> tuple[list[Save], int | None]:
        return self._fork(is_user_data)

    def _fork(self, is_user_data: bool | None) -> tuple[list[Save], int | None]:
        """Forks a process for each group of services that `_save` saves.

        A save of all services has three groups: changed services in USER_DATA, other changed
        services, and unchanged services.

        Returns:
            The saves, and the number of the first journal segment that is still needed after a save
            of all services. The number is None for other saves.
        """
        everything = is_user_data is None
        others = ministack.app._build_persistence_save_dict()
        others[STREAMS] = self._stores.streams
        groups: list[tuple[dict[str, Callable[[], Any]], dict[str, float]]] = []
        for group in (True, False) if is_user_data is None else (is_user_data,):
            changes = self._changes(group)
            modules = {part for module in changes for part in parts(module)}
            changed = {
                key: get
                for key, get in others.items()
                if key != STREAMS and ministack.app._state_map[key] in modules
            }
            if "dynamodb" in changed:
                changed[STREAMS] = others[STREAMS]
            others = {key: get for key, get in others.items() if key not in changed}
            groups.append((changed, changes))
        saves: list[Save] = []
        segment = None
        if everything:
            if not self._children:
                self._files.delete_unused_packages()
            segment = self._journal.start_segment()
        try:
            saves.extend(
                self._fork_save(changed, changes) for changed, changes in groups if changed
            )
            if everything:
                saves.append(self._fork_save(others, {}))
        except OSError:
            for save in saves:
                os.kill(save.child, signal.SIGKILL)
                os.waitpid(save.child, 0)
                self._end(save)
            raise
        for _, changes in groups:
            for module in changes:
                del self._changed[module]
        return saves, segment

    def _fork_save(self, services: dict[str, Callable[[], Any]], changes: dict[str, float]) -> Save:
        self._forks += 1
        child = os.fork()
        if not child:
            write_in_child(self._files, self._forks, services)
        self._children.add(child)
        return Save(child, self._forks, frozenset(services), changes)

    def _complete(self, saves: list[Save], segment: int | None) -> None:
        """Waits for the saves and replaces the state files.

        Raises:
            OSError: a save failed. Its changes are saved again later.
        """
        errors: list[OSError] = []
        for save in saves:
            try:
                if not wait_for_process(save.child, SAVE_TIMEOUT):
                    raise OSError("the process that saves the state failed: see the errors above")
                self._files.replace(save.names, save.number)
            except OSError as error:
                errors.append(error)
                for module, since in save.changes.items():
                    first = self._changed.setdefault(module, since)
                    # The journal has a record that the module changed, unless a full save has
                    # deleted the segment with this record. The record is therefore written again.
                    # A failed write is ignored, because the old record usually still exists.
                    with suppress(OSError):
                        self._journal.write(["changed", module, first])
            else:
                if save.changes:
                    self._journal.write(["saved", save.changes, time.time()])
            finally:
                self._end(save)
        if errors:
            raise errors[0]
        if segment is not None:
            self._journal.remove_before(segment)
            self._saved_all = time.monotonic()

    def _end(self, save: Save) -> None:
        self._files.delete_partial(save.number)
        self._children.discard(save.child)

    def _save_at_exit(self) -> None:
        for child in tuple(self._children):
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        if not self._reserve.has_space():
            self._reserve.free()
        with suppress(OSError):
            self._complete(*self._fork(None))


def add_save_request(application: Application, path: str, saver: Saver) -> Application:
    """Adds the request PUT `path`, which saves all data. Its status is 204, or 500 on failure."""

    async def respond(scope: Message, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or (scope["method"], scope["path"]) != ("PUT", path):
            await application(scope, receive, send)
            return
        try:
            await saver.save_all()
            status = 204
        except OSError:
            status = 500
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    return respond


def changes_data(method: str, path: str, action: str) -> bool:
    """Returns True if a call can change data. The invocation of a function does not count as a
    change.
    """
    is_read = method in {"GET", "HEAD", "OPTIONS"} or action.startswith(READS)
    return not is_read and not path.endswith("/invocations")


def find_action(method: str, path: str, headers: Any, body: Any, query: Any) -> str:
    """Returns the action in a call's header, form or query. Returns "" if none contains it."""
    action = str(headers.get("x-amz-target", "")).rpartition(".")[2]
    if not action and method == "POST" and path == "/":
        form = parse_qs(bytes(body or b"").decode(errors="replace"))
        action = next(iter(form.get("Action") or query.get("Action") or [""]))
    return action


def parts(module: str) -> Iterable[str]:
    """Returns `module` and the modules to which it forwards calls."""
    for service in ministack.app.SERVICE_REGISTRY.values():
        if service["module"] == module:
            return (module, *service.get("sub_modules", ()))
    return (module,)


def unsaved(records: Iterable[list[Any]]) -> dict[str, float]:
    """Returns the time of the first unsaved change, for each module with unsaved changes."""
    changes: dict[str, list[float]] = {}
    for kind, *rest in records:
        if kind == "changed":
            module, since = rest
            changes.setdefault(module, []).append(since)
        elif kind == "saved" and isinstance(rest[0], dict):
            for module, since in rest[0].items():
                # A save also contains earlier changes. The order of the records decides which are
                # earlier, because the clock may have been set back.
                times = changes.get(module, [])
                while since in times:
                    times.pop(0)
        elif kind == "loaded":
            # A start stores the lost changes in RECOVERY and then writes the record `loaded`.
            # Earlier changes therefore no longer count as unsaved.
            changes.clear()
    return {module: times[0] for module, times in changes.items() if times}


def wait_for_process(child: int, timeout: float) -> bool:
    """Waits for the process `child` and returns True if it succeeded.

    Kills it after `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status == 0
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return False
        time.sleep(0.005)
