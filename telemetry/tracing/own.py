"""How telemetry begins its own spans: the quick way where spans are light, OpenTelemetry's else."""

from __future__ import annotations

from collections.abc import Callable

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Tracer

from telemetry.tracing.light import Fixed, LightSpan, LightTracer, WholeSpan
from telemetry.tracing.values import epoch_offset

#: Lets light spans that ended be exported, those of one piece of work together.
HandOver = Callable[[list[LightSpan | WholeSpan]], None]


class OwnTracer:
    """A tracer of one scope, found when it is first needed.

    Times are those of ``perf_counter_ns``.
    """

    def __init__(self, scope: str) -> None:
        self._scope = scope
        # Where spans are light, they are the light tracer's own from the first span on.
        self.root = self._root
        self.start = self._start
        self.whole = self._whole
        self.hand_over: HandOver = self._hand_over

    def _tracer(self) -> Tracer:
        tracer = trace.get_tracer_provider().get_tracer(self._scope)
        if isinstance(tracer, LightTracer):
            self.root, self.start, self.whole = tracer.root, tracer.start, tracer.whole
            self.hand_over = tracer.provider.ended_together
        return tracer

    def _root(self, name: str, kind: SpanKind) -> Span:
        """The first span of a trace."""
        return self._start(name, kind, None)

    def _start(
        self,
        name: str,
        kind: SpanKind,
        parent: Span | None,
        fixed: Fixed | None = None,
        started: int = 0,
    ) -> Span:
        """A span below ``parent``, a root where it is None, that begins now or began then."""
        tracer = self._tracer()
        if isinstance(tracer, LightTracer):
            return tracer.start(name, kind, parent, fixed, started)
        return tracer.start_span(
            name,
            context=Context() if parent is None else trace.set_span_in_context(parent, Context()),
            kind=kind,
            attributes=fixed.attributes if fixed else None,
            start_time=started + epoch_offset() if started else None,
        )

    def _whole(  # noqa: PLR0917
        self, name: str, kind: SpanKind, parent: Span, fixed: Fixed, started: int, ended: int
    ) -> WholeSpan | None:
        """A span of which there is nothing more to say: one to hand over, None if that is done."""
        tracer = self._tracer()
        if isinstance(tracer, LightTracer):
            return tracer.whole(name, kind, parent, fixed, started, ended)
        self._start(name, kind, parent, fixed, started).end(ended + epoch_offset())
        return None

    def _hand_over(self, spans: list[LightSpan | WholeSpan]) -> None:
        # Only light spans come here.
        tracer = self._tracer()
        if isinstance(tracer, LightTracer):
            tracer.provider.ended_together(spans)
