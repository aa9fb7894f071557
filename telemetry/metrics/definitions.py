"""Every metric that telemetry itself keeps: name, type, labels, meaning.

Tests and docs read this table. A metric of an application is made with ``telemetry.counter``,
``gauge`` or ``histogram`` where it belongs.
"""

from __future__ import annotations

from typing import Any

from telemetry.metrics.metric import CounterMetric, GaugeMetric, HistogramMetric, Metric
from telemetry.metrics.slots import store

_HTTP_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_DATABASE_BUCKETS = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip

#: Why a span was not exported.
DROP_REASONS = (
    "queue_full",
    "export_failed",
    "span_limit",
    "shutdown",
    "encoding_failed",
    "too_large",
)
#: Why a log line was not written, see ``telemetry.logs.standard_error``.
LOG_DROP_REASONS = ("queue_full", "closed", "write_failed", "format_failed", "shutdown")

#: How a request ended, by the first digit of its status: up to 3, 4, 5.
OUTCOMES = ("success", "client_error", "server_error")


def outcome_of_status(status: int) -> str:
    """One of ``OUTCOMES``."""
    return OUTCOMES[min(max(status // 100 - 3, 0), 2)]


#: Statuses that are counted one by one for the whole service; others are "4xx" and "5xx".
ERROR_STATUSES = (
    *("400", "401", "403", "404", "405", "409", "412", "422", "429", "499"),
    *("500", "502", "503", "504"),
)
#: Why an observation was not recorded: what was given is no number, or no name that a scrape can
#: have; the store has no room for its series; it interrupted the writing of another exemplar.
LOSS_REASONS = ("invalid", "no_room", "interrupted")

HTTP_REQUESTS = CounterMetric(
    "http_requests_total",
    "HTTP requests answered; status 499 when the client went away.",
    ("method", "endpoint", "status"),
)
HTTP_REQUEST_DURATION = HistogramMetric(
    "http_request_duration_seconds",
    "Time from the arrival of a request to the end of its answer, in seconds.",
    ("method", "endpoint"),
    buckets=_HTTP_BUCKETS,
)
HTTP_RESPONSES = CounterMetric(
    "http_responses_total",
    "HTTP requests answered, by route; every known route starts at 0 with the process.",
    ("endpoint", "outcome"),
)
HTTP_ERROR_RESPONSES = CounterMetric(
    "http_error_responses_total",
    "Answers with a 4xx or 5xx status, static files left out; 4xx and 5xx are the other statuses.",
    ("status",),
    initial=[(status,) for status in (*ERROR_STATUSES, "4xx", "5xx")],
)
HTTP_REQUESTS_IN_PROGRESS = GaugeMetric(
    "http_requests_in_progress", "HTTP requests being answered now.", ("method",)
)
HTTP_CLIENT_REQUESTS = CounterMetric(
    "http_client_requests_total",
    "Outgoing HTTP calls; status timeout or error where no answer came.",
    ("host", "method", "status"),
)
HTTP_CLIENT_RESPONSES = CounterMetric(
    "http_client_responses_total",
    "Outgoing HTTP calls to all hosts, by outcome; starts at 0 with the process.",
    ("outcome",),
    initial=[(outcome,) for outcome in (*OUTCOMES, "timeout", "error")],
)
HTTP_CLIENT_REQUEST_DURATION = HistogramMetric(
    "http_client_request_duration_seconds",
    "Time of outgoing HTTP calls until the answer's headers, in seconds.",
    ("host", "method"),
    buckets=_HTTP_BUCKETS,
)
HTTP_REQUEST_DATABASE_QUERIES = CounterMetric(
    "http_request_database_queries_total",
    "SQL statements run while requests were answered.",
    ("method", "endpoint"),
)
HTTP_REQUEST_DATABASE_SECONDS = CounterMetric(
    "http_request_database_seconds_total",
    "Time of the SQL statements run while requests were answered, in seconds.",
    ("method", "endpoint"),
)
HTTP_REPEATED_QUERIES = CounterMetric(
    "http_repeated_queries_total",
    "Statement shapes that ran too often within one request (N+1).",
    ("endpoint",),
)
DATABASE_QUERIES = CounterMetric(
    "database_queries_total", "SQL statements run.", ("operation", "table")
)
DATABASE_QUERY_DURATION = HistogramMetric(
    "database_query_duration_seconds",
    "Time of SQL statements, in seconds.",
    ("operation", "table"),
    buckets=_DATABASE_BUCKETS,
)
DATABASE_ERRORS = CounterMetric(
    "database_errors_total",
    "SQL statements that failed, by the driver's exception.",
    ("operation", "table", "type"),
)
DATABASE_QUERY_FAILURES = CounterMetric(
    "database_query_failures_total",
    "SQL statements that failed, of any kind; starts at 0 with the process.",
    ("database",),
)
DATABASE_CONNECTIONS = CounterMetric(
    "database_connections_total",
    "Attempts to get a database connection, from the server or the pool.",
    ("database",),
)
DATABASE_CONNECTION_DURATION = HistogramMetric(
    "database_connection_duration_seconds",
    "Time of the attempts to get a database connection, failed ones too, in seconds.",
    ("database",),
    # A pool gives one in a tenth of a millisecond.
    buckets=(0.0001, 0.00025, 0.0005, *_DATABASE_BUCKETS),
)
DATABASE_CONNECTION_ERRORS = CounterMetric(
    "database_connection_errors_total",
    "Attempts to get a database connection that failed, and connections lost in a query.",
    ("database", "type"),
)
DATABASE_CONNECTION_FAILURES = CounterMetric(
    "database_connection_failures_total",
    "database_connection_errors_total of any type; starts at 0 with the process.",
    ("database",),
)
DATABASE_POOL_CONNECTIONS = GaugeMetric(
    "database_pool_connections", "Connections in the pools.", ("database", "state")
)
DATABASE_POOL_MAX_CONNECTIONS = GaugeMetric(
    "database_pool_max_connections", "Connections that the pools may hold.", ("database",)
)
DATABASE_POOL_REQUESTS_WAITING = GaugeMetric(
    "database_pool_requests_waiting", "Threads waiting for a connection of a pool.", ("database",)
)
ERRORS = CounterMetric(
    "errors_total",
    "Answers with a 5xx status and exceptions nobody caught; endpoint none outside requests.",
    ("type", "endpoint"),
)
BACKGROUND_ERRORS = CounterMetric(
    "background_errors_total",
    "Exceptions outside requests that nobody caught and that ended a thread or the process.",
)
PROCESS_RESIDENT_MEMORY = GaugeMetric(
    "process_resident_memory_bytes",
    "Memory of all processes of the instance, shared pages counted once, in bytes.",
    merge="max",
)
PROCESS_WORKER_MAX_RESIDENT_MEMORY = GaugeMetric(
    "process_worker_max_resident_memory_bytes",
    "Resident memory of the largest worker, in bytes.",
    merge="max",
)
PROCESS_MEMORY_LIMIT = GaugeMetric(
    "process_memory_limit_bytes",
    "Memory that the instance may use: its container's limit, or all of the machine, in bytes.",
    merge="max",
)
PROCESS_CPU = CounterMetric(
    "process_cpu_seconds_total",
    "User and system CPU time of all processes of the instance, ended ones included, in seconds.",
    scraped=True,
)
PROCESS_START_TIME = GaugeMetric(
    "process_start_time_seconds",
    "Start of the instance's first process, in seconds since the Unix epoch.",
    scraped=True,
)
PROCESS_OPEN_FDS = GaugeMetric(
    "process_open_fds", "Open file descriptors of all processes of the instance.", scraped=True
)
PROCESS_MAX_FDS = GaugeMetric(
    "process_max_fds", "File descriptors that those processes may open together.", scraped=True
)
PROCESS_WORKERS = GaugeMetric(
    "process_workers", "Processes of the instance that answer requests.", scraped=True
)
PROCESS_WORKER_STARTS = CounterMetric(
    "process_worker_starts_total",
    "Worker processes that the instance started, those that are gone included.",
)
PROCESS_WORKER_CRASHES = CounterMetric(
    "process_worker_crashes_total",
    "Worker processes that ended unasked: killed, out of memory, by an error of their own.",
)
SPANS_DROPPED = CounterMetric(
    "telemetry_spans_dropped_total",
    "Spans that did not reach the exporter or were refused by it.",
    ("reason",),
    initial=[(reason,) for reason in DROP_REASONS],
)
LOG_LINES_DROPPED = CounterMetric(
    "telemetry_log_lines_dropped_total",
    "Log lines that could not be written to standard error.",
    ("reason",),
    initial=[(reason,) for reason in LOG_DROP_REASONS],
)
SERIES_DROPPED = CounterMetric(
    "telemetry_series_dropped_total",
    "Observations whose series was past the bound; they went to the overflow series.",
    ("metric",),
)
OBSERVATIONS_DROPPED = CounterMetric(
    "telemetry_observations_dropped_total",
    "Observations that could not be recorded.",
    ("reason",),
    initial=[(reason,) for reason in LOSS_REASONS],
)
STORE_UNREADABLE = CounterMetric(
    "telemetry_store_unreadable_total",
    "Files of the metrics' store of which a part could not be read.",
)
GC_COLLECTIONS = CounterMetric(
    "python_gc_collections_total",
    "Runs of Python's garbage collector, in all workers.",
    ("generation",),
)
GC_COLLECTED = CounterMetric(
    "python_gc_objects_collected_total",
    "Objects that Python's garbage collector freed, in all workers.",
    ("generation",),
)
GC_UNCOLLECTABLE = CounterMetric(
    "python_gc_objects_uncollectable_total",
    "Objects that Python's garbage collector found and could not free, in all workers.",
    ("generation",),
)
BUILD_INFO = GaugeMetric(
    "build_info", "Always 1; the labels tell what runs.", ("version", "commit"), merge="max"
)

DEFINITIONS: tuple[Metric[Any], ...] = (
    HTTP_REQUESTS,
    HTTP_REQUEST_DURATION,
    HTTP_RESPONSES,
    HTTP_ERROR_RESPONSES,
    HTTP_REQUESTS_IN_PROGRESS,
    HTTP_CLIENT_REQUESTS,
    HTTP_CLIENT_RESPONSES,
    HTTP_CLIENT_REQUEST_DURATION,
    HTTP_REQUEST_DATABASE_QUERIES,
    HTTP_REQUEST_DATABASE_SECONDS,
    HTTP_REPEATED_QUERIES,
    DATABASE_QUERIES,
    DATABASE_QUERY_DURATION,
    DATABASE_ERRORS,
    DATABASE_QUERY_FAILURES,
    DATABASE_CONNECTIONS,
    DATABASE_CONNECTION_DURATION,
    DATABASE_CONNECTION_ERRORS,
    DATABASE_CONNECTION_FAILURES,
    DATABASE_POOL_CONNECTIONS,
    DATABASE_POOL_MAX_CONNECTIONS,
    DATABASE_POOL_REQUESTS_WAITING,
    ERRORS,
    BACKGROUND_ERRORS,
    PROCESS_RESIDENT_MEMORY,
    PROCESS_WORKER_MAX_RESIDENT_MEMORY,
    PROCESS_MEMORY_LIMIT,
    PROCESS_CPU,
    PROCESS_START_TIME,
    PROCESS_OPEN_FDS,
    PROCESS_MAX_FDS,
    PROCESS_WORKERS,
    PROCESS_WORKER_STARTS,
    PROCESS_WORKER_CRASHES,
    SPANS_DROPPED,
    LOG_LINES_DROPPED,
    SERIES_DROPPED,
    OBSERVATIONS_DROPPED,
    STORE_UNREADABLE,
    GC_COLLECTIONS,
    GC_COLLECTED,
    GC_UNCOLLECTABLE,
    BUILD_INFO,
)


def create_all() -> None:
    """Make every series that starts at 0."""
    store.unbounded = {SERIES_DROPPED.family}
    store.count_dropped = _count_dropped
    store.count_lost = _count_lost
    for definition in DEFINITIONS:
        definition.create()
    for definition in DEFINITIONS:
        if definition.labels and not definition.scraped and definition is not SERIES_DROPPED:
            SERIES_DROPPED.child(definition.name)


def _count_dropped(metric: str) -> None:
    SERIES_DROPPED.child(metric).inc()


def _count_lost(reason: str) -> None:
    OBSERVATIONS_DROPPED.child(reason).inc()
