"""How telemetry begins its own spans: the quick way where spans are light, OpenTelemetry's else."""

from __future__ import annotations

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind

from telemetry.tracing.light import Fixed, LightTracer


class OwnTracer:
    """A tracer of one scope, found when it is first needed."""

    def __init__(self, scope: str) -> None:
        self._scope = scope
        self.start = self._find

    def _find(
        self, name: str, kind: SpanKind, parent: Span | None, fixed: Fixed | None = None
    ) -> Span:
        """A span below ``parent``, a root where it is None."""
        tracer = trace.get_tracer_provider().get_tracer(self._scope)
        if isinstance(tracer, LightTracer):
            # From now on without a detour.
            self.start = tracer.start
            return tracer.start(name, kind, parent, fixed)
        context = Context() if parent is None else trace.set_span_in_context(parent, Context())
        return tracer.start_span(
            name, context=context, kind=kind, attributes=fixed.attributes if fixed else None
        )
