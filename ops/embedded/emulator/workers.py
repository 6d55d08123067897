"""Limits the processes that run functions (workers). Reuses a worker after an exception."""

from __future__ import annotations

import asyncio
import os
import queue
import threading
import time
from contextlib import suppress
from operator import itemgetter
from typing import Any

import hypercorn.asyncio.run
from hypercorn.utils import ShutdownError
from ministack.core import lambda_runtime
from ministack.services import lambda_svc

WORKERS = 14
"""Maximum number of workers. Each uses 50 to 66 MB of memory, and disk space for its package."""
IDLE_SECONDS = 60.0
"""Seconds after which an idle worker ends. One worker of each function stays."""
STARTING_WORKERS = max(2, os.cpu_count() or 2)
"""Maximum number of workers that start at the same time. Each needs a processor for about a second.
If more workers start, all of them start late, and functions exceed their timeouts.
"""
SLOT_TIMEOUT = 20.0
"""Seconds. An invocation waits at most this long while WORKERS invocations run or
STARTING_WORKERS workers start.
"""
BUSY_WORKER_TIMEOUT = 1.0
"""Seconds that an invocation waits for a busy worker of its function if WORKERS workers exist.

Starting a worker instead would end a worker of another function, which would soon have to start
again. A start takes about a second, and most invocations end sooner.
"""
STOP_TIMEOUT = 5.0
"""Seconds for which invocations continue after the signal to stop. The server saves its state when
they have ended. `ops down` kills the server after 30 s."""
AWS_CONCURRENCY = 1_000
"""The concurrency limit that GetAccountSettings reports: AWS's default for an account."""
LOG_END = "\x00end of invocation "
"""The beginning of the line that follows the last log line of an invocation."""
LOG_TIMEOUT = 2.0
"""Seconds to wait for a log line. The last line usually arrives together with the response."""
SLOT_INTERVAL = 0.02
"""Seconds between two attempts to start a waiting invocation."""


def limit_workers() -> None:
    """Limits running invocations and workers to WORKERS. ministack does not limit workers."""
    lambda_svc._ACCOUNT_CONCURRENCY_CAP = WORKERS
    lambda_runtime._LOCAL_WORKER_TTL = IDLE_SECONDS
    acquire_slot = lambda_svc._acquire_execution_slot
    acquire_worker = lambda_runtime.acquire_worker
    acquiring = threading.Lock()

    def wait_for_slot(function: Any, config: Any) -> Any:
        deadline = time.monotonic() + SLOT_TIMEOUT
        while True:
            slot, limit = acquire_slot(function, config)
            if limit != "account" or is_on_event_loop() or time.monotonic() > deadline:
                return slot, limit
            time.sleep(SLOT_INTERVAL)

    def acquire_within_bound(name: str, config: Any, code: bytes, **options: Any) -> Any:
        started = time.monotonic()
        key = lambda_runtime._worker_key(name, config, options.get("qualifier", "$LATEST"))
        while True:
            with acquiring:
                waited = time.monotonic() - started
                if can_acquire(key, waited) or is_on_event_loop() or waited > SLOT_TIMEOUT:
                    worker, reason = acquire_worker(name, config, code, **options)
                    break
            time.sleep(SLOT_INTERVAL)
        if reason == "spawn":
            end_surplus_workers()
        return worker, reason

    lambda_svc._acquire_execution_slot = wait_for_slot
    lambda_svc._get_account_settings = report_limits
    lambda_svc.acquire_worker = lambda_runtime.acquire_worker = acquire_within_bound


def end_invocations_at_stop() -> None:
    """Ends running invocations STOP_TIMEOUT seconds after the signal to stop the server.

    hypercorn waits for the responses of invocations before the server saves its state.
    """
    raise_shutdown = hypercorn.asyncio.run.raise_shutdown  # type: ignore[attr-defined]

    async def raise_and_end(*arguments: Any) -> None:
        try:
            await raise_shutdown(*arguments)
        except ShutdownError:
            timer = threading.Timer(STOP_TIMEOUT, end_all_workers)
            timer.daemon = True
            timer.start()
            raise

    hypercorn.asyncio.run.raise_shutdown = raise_and_end  # type: ignore[assignment,attr-defined]


def end_all_workers() -> None:
    """Ends all workers, so that their invocations fail."""
    with lambda_runtime._lock:
        workers = [worker for pool in lambda_runtime._workers.values() for worker in pool]
    lambda_runtime.kill_workers(workers)


def keep_workers_after_errors() -> None:
    """Keeps the worker of a function that raised an exception, as AWS does.

    ministack would end the worker. Each invalid token would then cause a cold start of the
    authorizer.
    """
    invoke = lambda_runtime.Worker.invoke
    failed, raised = '"status": "error", "error": str(e), "trace"', '"status": "ok", "raised": True'
    script = lambda_runtime._PYTHON_WORKER_SCRIPT
    assert script.count(failed) == 1, (
        "ministack changed its worker script: adapt `keep_workers_after_errors` to it"
    )
    script = script.replace(failed, f'{raised}, "error": str(e), "trace"')
    lambda_runtime._PYTHON_WORKER_SCRIPT = script

    def invoke_and_keep(worker: Any, *arguments: Any, **options: Any) -> dict[str, Any]:
        response: dict[str, Any] = invoke(worker, *arguments, **options)
        return {**response, "status": "error"} if response.pop("raised", False) else response

    lambda_runtime.Worker.invoke = invoke_and_keep


def read_logs_to_their_end() -> None:
    """Attributes all log lines of a function to the invocation that wrote them, as AWS does.

    ministack reads until no line has arrived for 5 ms. On a busy machine, it then attributes the
    last lines to the next invocation. The changed worker writes a numbered line after each
    invocation, and ministack reads up to this line.
    """
    guess_end = lambda_runtime.Worker._drain_stderr_bounded
    end = "        _real_stdout.flush()\n\nrun()"
    script = lambda_runtime._PYTHON_WORKER_SCRIPT
    assert script.count(end) == 1, (
        "ministack changed its worker script: adapt `read_logs_to_their_end` to it"
    )
    lambda_runtime._PYTHON_WORKER_SCRIPT = script.replace(
        end,
        "        run.count = getattr(run, 'count', 0) + 1\n"
        f"        sys.stderr.write({LOG_END!r} + str(run.count) + '\\n')\n{end}",
    )

    def read_to_end(worker: Any, **options: Any) -> str:
        process = worker._proc
        if process is None or not worker.config.get("Runtime", "").startswith("python"):
            return str(guess_end(worker, **options))
        process.invocations = getattr(process, "invocations", 0) + 1
        last, lines = f"{LOG_END}{process.invocations}", []
        with suppress(queue.Empty):
            while not (line := worker._stderr_queue.get(timeout=LOG_TIMEOUT)).endswith(last):
                lines.append(line)
            lines.append(line.removesuffix(last))
        return "\n".join(line for line in lines if line and LOG_END not in line)

    lambda_runtime.Worker._drain_stderr_bounded = read_to_end


def report_limits() -> Any:
    """Returns the response of GetAccountSettings, with AWS_CONCURRENCY instead of WORKERS."""
    functions = [lambda_svc._functions[name] for name in lambda_svc._functions]
    reserved = sum(int(function.get("concurrency") or 0) for function in functions)
    limits = {
        "ConcurrentExecutions": AWS_CONCURRENCY,
        "UnreservedConcurrentExecutions": AWS_CONCURRENCY - reserved,
    }
    return lambda_svc.json_response(
        {"AccountLimit": limits, "AccountUsage": {"FunctionCount": len(functions)}}
    )


def is_on_event_loop() -> bool:
    """Returns True on the thread of the server's event loop, which must not block."""
    return asyncio._get_running_loop() is not None


def can_acquire(key: Any, waited: float) -> bool:
    """Returns True if a function has an idle worker or may start one.

    Args:
        key: The key of the function's workers.
        waited: The seconds for which the invocation has waited (see BUSY_WORKER_TIMEOUT).
    """
    with lambda_runtime._lock:
        pools = lambda_runtime._workers
        own = pools.get(key, ())
        if any(not worker.in_use for worker in own):
            return True
        workers = [worker for pool in pools.values() for worker in pool]
        starting = [worker for worker in workers if worker.in_use and worker._cold]
        waits_for_own = own and len(workers) >= WORKERS and waited < BUSY_WORKER_TIMEOUT
        return len(starting) < STARTING_WORKERS and not waits_for_own


def end_surplus_workers() -> None:
    """Ends idle workers until at most WORKERS remain.

    Begins with the worker that has been idle longest, but ends the only worker of a function last.
    Does not end busy workers.
    """
    ended = []
    with lambda_runtime._lock:
        pools = lambda_runtime._workers
        for _ in range(sum(map(len, pools.values())) - WORKERS):
            idle = [
                (len(pool) == 1, worker.last_used, worker, pool)
                for pool in pools.values()
                for worker in pool
                if not worker.in_use
            ]
            if not idle:
                break
            *_, worker, pool = min(idle, key=itemgetter(0, 1))
            pool.remove(worker)
            ended.append(worker)
    # A separate thread ends the workers, because ending a process takes up to 2 s.
    threading.Thread(target=lambda_runtime.kill_workers, args=(ended,), daemon=True).start()
