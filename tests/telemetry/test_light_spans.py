"""Light spans behave as OpenTelemetry's API says, and their OTLP bytes are what protobuf reads."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace.span import TraceState

from telemetry.tracing import ids, otlp, provider
from telemetry.tracing.convert import readable
from telemetry.tracing.light import (
    MOST_ATTRIBUTES,
    Fixed,
    LightProvider,
    LightSpan,
    UnsampledSpan,
    WholeSpan,
    unfolded,
)
from telemetry.tracing.values import epoch_offset

RESOURCE = Resource({"service.name": "test", "n": 3})


class Tracing:
    """A provider of its own, with the spans that ended."""

    def __init__(self, *, sampled: bool = True) -> None:
        self.spans: list[Any] = []
        self.provider = LightProvider(
            lambda _trace, parent: sampled if parent is None else parent,
            self.spans.append,
            self.spans.extend,
            lambda _reason, _spans: None,
        )
        self.tracer = self.provider.get_tracer("test", "1.0")


@pytest.fixture
def tracing() -> Tracing:
    return Tracing()


def encoded(spans: Sequence[LightSpan | WholeSpan], offset: int = 0) -> ExportTraceServiceRequest:
    resource = otlp.resource(dict(RESOURCE.attributes))
    return ExportTraceServiceRequest.FromString(otlp.request(resource, spans, offset))


texts = st.text(max_size=40) | st.text(min_size=130, max_size=300)
plain = texts | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)
values = st.recursive(
    plain | st.none() | st.binary(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(min_size=1, max_size=20), inner, max_size=3)
    ),
    max_leaves=6,
)
keys = st.text(min_size=1, max_size=20) | st.sampled_from(["http.route", "error.type"])
attributes = st.dictionaries(keys, values, max_size=5)
moments = st.integers(1, 2**62)


@st.composite
def spans(draw: st.DrawFn) -> LightSpan:
    tracing = Tracing()
    parent = None
    if draw(st.booleans()):
        remote = SpanContext(
            draw(st.integers(1, 2**128 - 1)),
            draw(st.integers(1, 2**64 - 1)),
            is_remote=draw(st.booleans()),
            trace_flags=TraceFlags(1),
            trace_state=TraceState([("vendor", "x")]) if draw(st.booleans()) else None,
        )
        parent = trace.set_span_in_context(trace.NonRecordingSpan(remote))
    span = tracing.tracer.start_span(
        draw(texts), parent, draw(st.sampled_from(list(SpanKind))), draw(attributes)
    )
    if draw(st.booleans()):
        span.fixed = Fixed({"db.query.text": draw(texts)})
    for _ in range(draw(st.integers(0, 2))):
        span.add_event(draw(texts), draw(attributes))
    if draw(st.booleans()):
        linked = SpanContext(7, 8, is_remote=True, trace_flags=TraceFlags(1))
        span.add_link(linked, draw(attributes))
    span.set_status(draw(st.sampled_from(list(StatusCode))), draw(texts))
    span.correlation_id = draw(st.sampled_from(["", "a.b:c-d", "x" * 128]))
    span.started, span.ended = draw(moments), draw(moments)
    return span


@given(st.lists(spans(), min_size=1, max_size=3))
def test_the_bytes_are_those_that_the_sdk_would_send(generated: list[LightSpan]) -> None:
    theirs = encode_spans([readable(span, RESOURCE, 0) for span in generated])

    assert comparable(encoded(generated)) == comparable(
        ExportTraceServiceRequest.FromString(theirs.SerializeToString())
    )


SCOPE = Tracing().tracer
SHARED = [Fixed({"db.query.text": text, "n": 7}) for text in ("", "SELECT ü", "x" * 20_000)]


@st.composite
def whole_spans(draw: st.DrawFn) -> WholeSpan:
    return (
        SCOPE,
        draw(st.sampled_from(["", "SELECT ü", "INSERT"])),
        draw(st.sampled_from(list(SpanKind))),
        draw(st.binary(min_size=16, max_size=16).filter(any)),
        draw(st.binary(min_size=8, max_size=8).filter(any)),
        draw(st.sampled_from(["", "a.b:c-d", "b", "x" * 128])),
        draw(st.sampled_from(SHARED)),
        3,
        draw(moments),
        draw(moments),
    )


@given(st.lists(whole_spans(), min_size=1, max_size=6))
def test_a_span_told_as_a_tuple_has_the_bytes_of_the_object(generated: list[WholeSpan]) -> None:
    sent = encoded(generated)

    given_ids = [span.span_id for span in sent.resource_spans[0].scope_spans[0].spans]
    assert len(set(given_ids)) == len(generated)
    objects = [unfolded(whole) for whole in generated]
    for span, span_id in zip(objects, given_ids, strict=True):
        span.span_id = span_id
    theirs = encode_spans([readable(span, RESOURCE, 0) for span in objects])
    assert comparable(sent) == comparable(
        ExportTraceServiceRequest.FromString(theirs.SerializeToString())
    )


def comparable(request: ExportTraceServiceRequest) -> list[Any]:
    """Every field of every span; where the order is nobody's business, sorted."""
    found = []
    for resource_spans in request.resource_spans:
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                for holder in [span, *span.events, *span.links]:
                    ordered = sorted(holder.attributes, key=lambda one: one.key)
                    del holder.attributes[:]
                    holder.attributes.extend(ordered)
                for holder in [span, *span.links]:
                    # Bit 0, sampled: the SDK's encoder leaves it out.
                    holder.flags &= 0x300
                if not span.status.ByteSize():
                    # The SDK sends an empty message for UNSET, we none.
                    span.ClearField("status")
                found.append(
                    (
                        sorted(str(one) for one in resource_spans.resource.attributes),
                        scope_spans.scope.name,
                        scope_spans.scope.version,
                        str(span),
                    )
                )
    return sorted(found)


def test_times_become_dates(tracing: Tracing) -> None:
    before = time.time_ns()
    tracing.tracer.start_span("now").end()
    given_times = tracing.tracer.start_span("then", start_time=1_700_000_000_000_000_000)
    given_times.end(1_700_000_001_000_000_000)
    now, then = encoded(tracing.spans, epoch_offset()).resource_spans[0].scope_spans[0].spans

    assert abs(now.start_time_unix_nano - before) < 1e9
    assert abs(then.start_time_unix_nano - 1_700_000_000_000_000_000) < 1e7
    assert abs(then.end_time_unix_nano - then.start_time_unix_nano - 1e9) < 1e7


def test_spans_nest_and_end_in_order(tracing: Tracing) -> None:
    with tracing.tracer.start_as_current_span("outer") as outer:
        assert trace.get_current_span() is outer
        with tracing.tracer.start_as_current_span("inner", kind=SpanKind.CLIENT):
            pass
        tracing.tracer.start_span("sibling").end()

    inner, sibling, root = tracing.spans
    assert [span.name for span in tracing.spans] == ["inner", "sibling", "outer"]
    assert inner.parent_id == sibling.parent_id == root.span_id
    assert {span.trace_id for span in tracing.spans} == {root.trace_id}
    assert not root.parent_id


def test_a_span_of_the_sdk_is_a_parent_and_a_child(tracing: Tracing) -> None:
    sdk = TracerProvider(shutdown_on_exit=False).get_tracer("sdk")
    with (
        sdk.start_as_current_span("theirs") as theirs,
        tracing.tracer.start_as_current_span("ours") as ours,
    ):
        again = sdk.start_span("theirs again")

    assert ours.get_span_context().trace_id == theirs.get_span_context().trace_id
    assert again.parent == ours.get_span_context()  # type: ignore[attr-defined]


def test_an_exception_is_told_once_with_its_status(
    tracing: Tracing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("telemetry.tracing.light.clean", lambda text: text.replace("7", "?"))
    with pytest.raises(ValueError, match="7"), tracing.tracer.start_as_current_span("fails"):
        raise ValueError("row 7")
    with pytest.raises(ValueError, match="8"), tracing.tracer.start_span("fails as well"):
        raise ValueError("row 8")

    for span in tracing.spans:
        (event,) = span.events
        assert event.attributes["exception.type"] == "ValueError"
        assert span.status.status_code is StatusCode.ERROR
    assert tracing.spans[0].events[0].attributes["exception.message"] == "row ?"


def test_ok_is_final_and_nobody_goes_back(tracing: Tracing) -> None:
    span = tracing.tracer.start_span("span")
    span.set_status(StatusCode.ERROR, "broken")
    span.set_status(StatusCode.UNSET)
    assert (span.status.status_code, span.description) == (StatusCode.ERROR, "broken")
    span.set_status(Status(StatusCode.OK))
    span.set_status(StatusCode.ERROR)
    assert (span.status.status_code, span.description) == (StatusCode.OK, None)


def test_what_cannot_be_exported_is_left_out(
    tracing: Tracing, caplog: pytest.LogCaptureFixture
) -> None:
    span = tracing.tracer.start_span("span", attributes={"a": object(), "": 1, "b": [1, 2]})  # type: ignore[dict-item]
    changing = [1]
    span.set_attribute("c", changing)
    changing.append(2)
    for number in range(500):
        span.set_attribute(f"many{number}", number)
    span.end()
    span.end()
    span.set_attribute("late", 1)

    assert span.attributes["b"] == (1, 2)
    assert span.attributes["c"] == (1,)
    assert "a" not in span.attributes
    assert len(span.attributes) == MOST_ATTRIBUTES
    assert len(tracing.spans) == 1
    assert "ended twice" in caplog.text
    found = encoded(tracing.spans).resource_spans[0].scope_spans[0].spans[0]
    assert found.dropped_attributes_count == 2 + 500 - (MOST_ATTRIBUTES - 2)


def test_an_unsampled_trace_has_ids_and_keeps_nothing() -> None:
    tracing = Tracing(sampled=False)
    with tracing.tracer.start_as_current_span("outer") as outer:
        outer.set_attribute("a", 1)
        outer.add_event("b")
        outer.record_exception(ValueError())
        with tracing.tracer.start_as_current_span("inner") as inner:
            assert not inner.is_recording()

    assert isinstance(outer, UnsampledSpan)
    assert outer.get_span_context().is_valid
    assert not outer.get_span_context().trace_flags.sampled
    assert inner.get_span_context().trace_id == outer.get_span_context().trace_id
    assert tracing.spans == []


def test_a_forked_child_makes_other_ids() -> None:
    ids.new_trace_id(), ids.new_span_id()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, ids.new_trace_id() + ids.new_span_id())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(reading, 24)

    assert theirs[:16] not in {ids.new_trace_id() for _ in range(600)}
    assert theirs[16:] not in {ids.new_span_id() for _ in range(600)}


def test_the_ratio_keeps_the_traces_that_the_sdk_keeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.3")
    decide, sdk = provider.decision(), TraceIdRatioBased(0.3)

    for _ in range(1000):
        trace_id = ids.new_trace_id()
        theirs = sdk.should_sample(None, int.from_bytes(trace_id, "big"), "x")
        assert decide(trace_id, None) == theirs.decision.is_sampled()
    assert decide(trace_id, True)
    assert not decide(trace_id, False)


def test_links_to_nowhere_are_left_out(tracing: Tracing) -> None:
    span = tracing.tracer.start_span("span", links=[Link(trace.INVALID_SPAN_CONTEXT)])

    assert list(span.links) == []
