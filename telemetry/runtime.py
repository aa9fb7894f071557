"""What runs beside the requests in each worker: started once, begun anew after a fork."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from telemetry import checks, health, outcomes, settings, uvicorn, uwsgi
from telemetry.context import Operation, current
from telemetry.db import pools
from telemetry.db.connections import start_at_zero
from telemetry.logs import quiet
from telemetry.logs.masking import mask_text, without_detail
from telemetry.logs.standard_error import standard_error
from telemetry.metrics import definitions as metrics
from telemetry.metrics import opentelemetry, process, registered
from telemetry.metrics.server import MetricsServer
from telemetry.metrics.slots import store
from telemetry.metrics.store import instance
from telemetry.tracing import light
from telemetry.tracing.provider import processor
from telemetry.tracing.suppression import suppressed

logger = logging.getLogger(__name__)

#: Seconds between two looks at the pools, and between two measurements of memory.
POOLS_EVERY = 5.0
MEMORY_EVERY = 15.0

_started = False
_deferred = False
_without_thread = False
_starting = threading.Lock()
#: Held while the callbacks of observed instruments are asked.
_asking = threading.Lock()
_told_slow = False
_server = MetricsServer()
_collector_runs = process.CollectorRuns()
#: The class of the error with which a step of the refreshing thread failed the last time.
_failures: dict[str, str] = {}


def prepare() -> None:
    """Once, when Django is set up: instruments, hooks. No thread, no socket: forks may follow."""
    store.series_limit = settings.get().SERIES_PER_METRIC
    metrics.create_all()
    registered.install()
    opentelemetry.install()
    metrics.BUILD_INFO.child(settings.BUILD_VERSION.read(), settings.BUILD_COMMIT.read()).set(1)
    start_at_zero()
    processor.count_dropped = _count_dropped
    standard_error.count_dropped_with(_count_dropped_lines)
    light.clean = _clean
    health.readiness.around = suppressed
    _count_unhandled()


def defer() -> None:
    """Start nothing in this process: it is a master whose children answer the requests."""
    global _deferred
    _deferred = True


def requests_begin() -> None:
    """The middleware is in place: its line replaces Django's, and a worker may start."""
    quiet.request_lines = True
    # No request waits for the reader of the log.
    standard_error.patience = 0
    uvicorn.at_shutdown(stop)
    start()


def start() -> None:
    """Start what runs beside the requests, once in each process."""
    if _started or _deferred:
        return
    with _starting:
        begins = not _started and _start_thread()
    if begins:
        instance.add_worker()
        uwsgi.at_exit(instance.remove_worker)
        metrics.PROCESS_WORKER_STARTS.child().inc()
        if problem := checks.alone_among_workers():
            logger.warning(problem)
        # Outside the lock: a URLconf may load an application of its own.
        outcomes.start_at_zero()


def _start_thread() -> bool:
    """Start the thread. False where a limit on threads forbids it, which must cost no request: the
    next one tries again."""
    global _started, _without_thread
    try:
        threading.Thread(target=_refresh, name="telemetry-refresh", daemon=True).start()
    except RuntimeError as error:
        if not _without_thread:
            _without_thread = True
            logger.warning("telemetry could not start its thread (%s)", error)
        return False
    _started = True
    return True


def stop(*, crashed: bool = False) -> None:
    """Export what waits, within its deadline. Safe to call more than once.

    A worker that ends without this, or ``crashed``, is counted as one that ended unasked.
    """
    if not crashed:
        instance.remove_worker()
    processor.shutdown()


def _refresh() -> None:
    current.set(Operation("", quiet=True))
    memory_at = 0.0

    def refresh_memory() -> None:
        nonlocal memory_at
        if time.monotonic() >= memory_at:
            process.refresh_memory(instance)
            memory_at = time.monotonic() + MEMORY_EVERY

    def lead() -> None:
        if instance.lead():
            for step in (instance.fold, _server.ensure, refresh_memory):
                _do(step)

    while True:
        for step in (
            pools.refresh,
            _collector_runs.refresh,
            ask_observed_instruments,
            instance.keep_up,
            registered.reconcile,
            lead,
        ):
            _do(step)
        time.sleep(POOLS_EVERY)


def ask_observed_instruments() -> None:
    """Ask OpenTelemetry's callbacks in a thread of their own: code of the application may take
    long, or wait for ever for somebody else's service."""
    global _told_slow
    if not opentelemetry.has_callbacks():
        return
    turn = _asking
    if not turn.acquire(blocking=False):
        if not _told_slow:
            _told_slow = True
            logger.warning(
                "callbacks of OpenTelemetry's instruments take longer than %g seconds; what they "
                "observe is shown as it was before",
                POOLS_EVERY,
            )
        return

    def ask() -> None:
        current.set(Operation("", quiet=True))
        try:
            opentelemetry.observe()
        finally:
            turn.release()

    try:
        threading.Thread(target=ask, name="telemetry-observe", daemon=True).start()
    except RuntimeError:
        turn.release()
        raise


def _do(step: Callable[[], object]) -> None:
    """Run one step of the refreshing thread. One that fails keeps no other from its work, and is
    logged when it fails otherwise than the last time."""
    name = step.__qualname__
    try:
        step()
    except Exception as error:
        kind = type(error).__name__
        if _failures.get(name) != kind:
            _failures[name] = kind
            logger.warning("telemetry could not refresh its gauges", exc_info=True)
    else:
        _failures.pop(name, None)


def _forget_after_fork() -> None:
    global _started, _deferred, _starting, _asking, _told_slow
    _started = False
    _deferred = False
    _starting = threading.Lock()
    _asking = threading.Lock()
    _told_slow = False
    _server.forget_after_fork()
    _collector_runs.begin()


def _clean(message: str) -> str:
    return mask_text(without_detail(message))


def _count_dropped(reason: str, spans: int) -> None:
    metrics.SPANS_DROPPED.child(reason).inc(spans)


def _count_dropped_lines(reason: str, lines: int) -> None:
    metrics.LOG_LINES_DROPPED.child(reason).inc(lines)


def _count_unhandled() -> None:
    """Count exceptions that end a thread or the process; what showed them before still does."""
    show, show_thread = sys.excepthook, threading.excepthook

    def process_ends(
        kind: type[BaseException], error: BaseException, frames: TracebackType | None
    ) -> None:
        if not issubclass(kind, KeyboardInterrupt):
            metrics.ERRORS.child(kind.__name__, "none").inc()
            metrics.BACKGROUND_ERRORS.child().inc()
        show(kind, error, frames)

    def thread_ends(arguments: Any) -> None:
        if arguments.exc_type is not SystemExit:
            metrics.ERRORS.child(arguments.exc_type.__name__, "none").inc()
            metrics.BACKGROUND_ERRORS.child().inc()
        show_thread(arguments)

    sys.excepthook = process_ends
    threading.excepthook = thread_ends


# At once: a master that does not load the application forks as well.
os.register_at_fork(after_in_child=_forget_after_fork)
