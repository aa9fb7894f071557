"""OpenTelemetry's current context, by its variable or by whoever keeps it instead."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from opentelemetry import context as api
from opentelemetry import trace
from opentelemetry.context import Context, _RuntimeContext
from opentelemetry.context.contextvars_context import ContextVarsRuntimeContext

from telemetry.tracing import here


class OneForAll(_RuntimeContext):
    """Somebody else's, as ``OTEL_PYTHON_CONTEXT`` may name one."""

    def __init__(self) -> None:
        self.kept = [Context()]

    def attach(self, context: Context) -> int:  # type: ignore[override]
        self.kept.append(context)
        return len(self.kept) - 1

    def get_current(self) -> Context:
        return self.kept[-1]

    def detach(self, token: int) -> None:  # type: ignore[override]
        del self.kept[token:]


@pytest.mark.parametrize("make", [ContextVarsRuntimeContext, OneForAll])
def test_what_is_attached_here_is_current_for_everybody(
    make: Callable[[], _RuntimeContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = make()
    monkeypatch.setattr(api, "_RUNTIME_CONTEXT", runtime)
    get, attach, detach = here._functions(runtime)
    span = trace.NonRecordingSpan(trace.SpanContext(1, 2, is_remote=False))

    token = attach(Context({here.SPAN: span, "theirs": 1}))

    assert trace.get_current_span() is span
    assert get() == api.get_current() == {here.SPAN: span, "theirs": 1}
    detach(token)
    assert trace.get_current_span() is trace.INVALID_SPAN
    outer = api.attach(api.set_value("theirs", 2))
    assert get()["theirs"] == 2
    api.detach(outer)
    assert "theirs" not in get()


def test_a_span_is_put_beside_what_is_current() -> None:
    span = trace.NonRecordingSpan(trace.SpanContext(1, 2, is_remote=False))
    outer = api.attach(api.set_value("theirs", 1))
    try:
        assert here.with_span(span) == {**api.get_current(), here.SPAN: span}
        assert here.with_span(span)["theirs"] == 1
    finally:
        api.detach(outer)
