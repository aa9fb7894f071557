"""What is known about the work that runs now: one request, one command, one traced function.

The signals do not know each other; what they share stands here.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from telemetry import settings


class Operation:
    """One unit of work with its ids and its tally.

    It is mutable on purpose: under ASGI a sync view runs in another thread with a copy of the
    context, and what it adds here must be seen by the middleware outside.
    """

    __slots__ = (
        "client_ip",
        "connections",
        "correlation_id",
        "db_queries",
        "db_time",
        "ended_elsewhere",
        "error",
        "fields",
        "finished",
        "outlived",
        "pending",
        "quiet",
        "reason",
        "repeated",
        "sampled",
        "shapes",
        "span",
        "span_id",
        "spans",
        "spans_left",
        "spans_renewed_at",
        "theirs",
        "trace_id",
    )

    # Of an operation that reached its limit of spans, and unset in others: when the limit is
    # renewed (``time.monotonic``), and whether that was done for what outlived the operation.
    spans_renewed_at: float
    outlived: bool
    # Set for work that ended in another context than the one it began in and is still current in.
    ended_elsewhere: bool

    def __init__(self, correlation_id: str, *, quiet: bool = False) -> None:
        #: As on the ``X-Correlation-ID`` header.
        self.correlation_id = correlation_id
        #: Who asked, behind trusted proxies.
        self.client_ip = ""
        #: 32 hexadecimal digits, empty while there is no trace.
        self.trace_id = ""
        #: 16 hexadecimal digits: the server span, or the root span of the operation.
        self.span_id = ""
        #: The OpenTelemetry span of the whole operation, None while there is none.
        self.span: Any = None
        #: Spans that may still begin in this operation.
        self.spans_left = 0 if quiet else settings.get().SPANS_PER_TRACE
        #: Fields that ``telemetry.bind`` added to every log line of the operation.
        self.fields: dict[str, Any] = {}
        self.db_queries = 0
        #: Nanoseconds.
        self.db_time = 0
        #: How often each statement shape ran, to find repeated queries (N+1).
        self.shapes: dict[str, int] = {}
        #: Those that ran too often, each with the line of user code that ran it.
        self.repeated: dict[str, str] = {}
        #: Statements that ran and are not counted yet, with their seconds and their end on the
        #: clock of ``perf_counter_ns``.
        self.pending: list[tuple[Any, float, int]] = []
        #: Their spans, which are handed over when they are counted.
        self.spans: list[Any] = []
        #: Connections that it got and are not counted yet: counter, histogram, seconds.
        self.connections: list[tuple[Any, Any, float]] = []
        #: Whether a span of it is exported: only then its trace id is an exemplar.
        self.sampled = False
        #: The span is of OpenTelemetry's own instrumentation, which names and ends it.
        self.theirs = False
        #: Nothing is kept for its end any more.
        self.finished = False
        #: The exception that made the work fail: one that left it, or that a framework turned into
        #: an answer (see ``telemetry.causes``). An exception that its code caught is none.
        self.error: BaseException | None = None
        #: Why Django refused the request, in its own words.
        self.reason = ""
        #: Health checks, scrapes and exports: nothing they do is counted, traced or logged as work.
        self.quiet = quiet


current: ContextVar[Operation | None] = ContextVar("telemetry_operation", default=None)

#: Current while telemetry runs code of the application that must not reach the database.
WITHOUT_DATABASE = Operation("", quiet=True)
