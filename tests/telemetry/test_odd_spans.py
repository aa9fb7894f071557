"""Whatever user code says about a span: nothing is raised, and no other span is lost by it."""

from __future__ import annotations

import decimal
import enum
import itertools
import logging
import math
import socket
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.proto.trace.v1 import trace_pb2
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from telemetry.tracing import jaeger_agent, values
from telemetry.tracing.light import MOST_ATTRIBUTES, MOST_EVENTS, MOST_LINKS, LightSpan
from tests.telemetry.test_metrics_port import needs_ipv6
from tests.telemetry.wire import Wire, attributes

REMOTE = SpanContext(7, 8, is_remote=True, trace_flags=TraceFlags(1))
#: A parent made by hand, with a number where a TraceFlags belongs.
PLAIN_FLAGS = trace.NonRecordingSpan(SpanContext(7, 8, is_remote=True, trace_flags=1))  # type: ignore[arg-type]


class Broken:
    """An object of which nothing can be asked."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class BrokenSequence(Sequence[Any]):
    def __getitem__(self, index: Any) -> Any:
        raise RuntimeError("no item")

    def __len__(self) -> int:
        return 3


class BrokenMapping(Mapping[str, Any]):
    def __getitem__(self, key: str) -> Any:
        raise RuntimeError("no value")

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("no keys")

    def __len__(self) -> int:
        return 3


class Lazy:
    """As Django's SimpleLazyObject, whose class is that of what it stands for, and which fails."""

    @property  # type: ignore[misc]
    def __class__(self) -> type:  # type: ignore[override]
        raise RuntimeError("no class")

    def __bool__(self) -> bool:
        raise RuntimeError("neither")

    def __float__(self) -> float:
        raise RuntimeError("no number")


class BrokenText(str):
    __slots__ = ()

    def __len__(self) -> int:
        raise RuntimeError("no length")


class EndlessSequence(Sequence[Any]):
    def __getitem__(self, index: Any) -> Any:
        return index

    def __len__(self) -> int:
        return 3


class EndlessMapping(Mapping[str, Any]):
    def __getitem__(self, key: str) -> Any:
        return "x" * 1000

    def __iter__(self) -> Iterator[str]:
        return map(str, itertools.count())

    def __len__(self) -> int:
        return 3


class NoPairs:
    def items(self) -> Any:
        return [1, 2]


class Color(enum.StrEnum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


def itself() -> list[Any]:
    inner: list[Any] = [1]
    inner.append(inner)
    return inner


def itself_often() -> list[Any]:
    inner: list[Any] = []
    inner += [inner] * 10
    return inner


ODD_TEXTS: list[Any] = [
    None,
    b"bytes",
    b"\xff\xfe",
    7,
    ValueError("no"),
    Broken(),
    Lazy(),
    BrokenText("text"),
    "\ud800",
    "x" * 1_000_000,
]
#: More than there is memory or time for.
ENDLESS: list[Any] = [range(10**9), itself_often(), EndlessSequence(), EndlessMapping()]
ODD_VALUES: list[Any] = [
    *ODD_TEXTS,
    2**63,
    -(2**70),
    10**5000,
    math.nan,
    math.inf,
    decimal.Decimal("1.5"),
    uuid.UUID(int=7),
    Color.RED,
    Level.HIGH,
    {1, 2},
    object(),
    [1, "two", None, [3.5, b"4"]],
    {"nested": {"deeply": [1]}, 7: "seven", "": "nothing"},
    itself(),
    BrokenSequence(),
    BrokenMapping(),
    bytearray(b"abc"),
    range(3),
    (item for item in "generator"),
]
ODD_ATTRIBUTES: list[Any] = [
    *({"key": value} for value in ODD_VALUES),
    {7: "seven"},
    {None: "none"},
    {b"bytes": 1},
    {("a", 1): 1},
    {Broken(): 1},
    {Lazy(): 1},
    {BrokenText("key"): 1},
    NoPairs(),
    {"\ud800": 1},
    {"k" * 1_000_000: 1},
    "a text",
    ["a", "list"],
    7,
    BrokenMapping(),
]
ODD_TIMES: list[Any] = [
    1.5e18,
    -1,
    -(10**30),
    2**64,
    10**400,
    math.nan,
    math.inf,
    "now",
    True,
    [],
    Broken(),
]
ODD_CONTEXTS: list[Any] = [None, "text", trace.INVALID_SPAN_CONTEXT, trace.INVALID_SPAN, 7, Lazy()]


def broken_links() -> Iterator[Any]:
    yield Link(REMOTE)
    raise RuntimeError("no more links")


Odd = Callable[[Wire], trace.Span]


def odd_starts() -> Iterator[Callable[[Wire], Any]]:
    for name in ODD_TEXTS:
        yield lambda wire, name=name: wire.tracer.start_span(name)
    for kind in [None, "SERVER", 2, b"", Broken(), Lazy()]:
        yield lambda wire, kind=kind: wire.tracer.start_span("odd", kind=kind)
    for found in [*ODD_ATTRIBUTES, EndlessMapping()]:
        yield lambda wire, found=found: wire.tracer.start_span("odd", attributes=found)
    for moment in [*ODD_TIMES, Lazy()]:
        yield lambda wire, moment=moment: wire.tracer.start_span("odd", start_time=moment)
    for link in [*ODD_CONTEXTS, *(Link(REMOTE, found) for found in ODD_ATTRIBUTES)]:
        yield lambda wire, link=link: wire.tracer.start_span("odd", links=[link])
    for links in [7, "text", Broken(), {"a": 1}]:
        yield lambda wire, links=links: wire.tracer.start_span("odd", links=links)
    yield lambda wire: wire.tracer.start_span("odd", links=broken_links())
    yield lambda wire: wire.tracer.start_span("odd", links=itertools.repeat(Link(REMOTE)))
    for scope in [7, b"bytes", ["a list"], "\ud800", Broken()]:
        yield lambda wire, scope=scope: wire.provider.get_tracer(scope, scope).start_span("odd")
    yield lambda wire: wire.tracer.start_span("odd", trace.set_span_in_context(PLAIN_FLAGS))


def odd_calls() -> Iterator[Callable[[Any], Any]]:
    for text in ODD_TEXTS:
        yield lambda span, text=text: span.set_status(StatusCode.ERROR, text)
        yield lambda span, text=text: span.set_status(text)
        if type(text) not in {Lazy, BrokenText}:  # with which OpenTelemetry's own class raises
            yield lambda span, text=text: span.set_status(Status(StatusCode.ERROR, text))
        yield lambda span, text=text: span.update_name(text)
        yield lambda span, text=text: span.add_event(text)
        yield lambda span, text=text: span.set_attribute(text, 1)
        yield lambda span, text=text: span.record_exception(text)
        yield lambda span, text=text: span.record_exception(ValueError(text))
    for value in ODD_VALUES:
        yield lambda span, value=value: span.set_attribute("key", value)
        yield lambda span, value=value: span.set_attribute(value, value)
    for found in [*ODD_ATTRIBUTES, None]:
        yield lambda span, found=found: span.set_attributes(found)
        yield lambda span, found=found: span.add_event("event", found)
        yield lambda span, found=found: span.add_link(REMOTE, found)
        yield lambda span, found=found: span.record_exception(ValueError(), found)
    for moment in [*ODD_TIMES, Lazy()]:
        yield lambda span, moment=moment: span.add_event("event", timestamp=moment)
        yield lambda span, moment=moment: span.record_exception(ValueError(), timestamp=moment)
    for context in ODD_CONTEXTS:
        yield lambda span, context=context: span.add_link(context)


def test_odd_spans_arrive_with_all_others(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = 0
    for number, begin in enumerate([*odd_starts(), lambda wire: wire.tracer.start_span("calls")]):
        span = begin(wire)
        if number % 3:
            for call in list(odd_calls())[:: number % 5 + 1]:
                call(span)
        span.update_name(f"odd {number}")
        span.end(ODD_TIMES[number % len(ODD_TIMES)])
        wire.tracer.start_span(f"good {number}").end()
        begun += 2
        if not number % 50:
            assert wire.provider.force_flush()

    assert len(wire.spans()) == begun
    assert not wire.dropped


@pytest.mark.parametrize(
    ("value", "exported"),
    [
        ("text", "text"),
        ("\ud800x", "?x"),
        (True, True),
        (7, 7),
        (2**63, str(2**63)),
        (1.5, 1.5),
        (b"\x00\xff", b"\x00\xff"),
        (None, None),
        (decimal.Decimal("1.50"), "1.50"),
        (Color.RED, "red"),
        (Level.HIGH, 3),
        ([1, "a", None, [2.5]], [1, "a", None, [2.5]]),
        ({"a": {"b": (1, 2)}, 7: None}, {"a": {"b": [1, 2]}, "7": None}),
        ({}, {}),
        ([], []),
    ],
    ids=repr,
)
def test_a_value_is_exported_as_the_sdk_exports_it(wire: Wire, value: Any, exported: Any) -> None:
    wire.tracer.start_span("span", attributes={"key": value}).end()

    assert attributes(wire.spans()["span"]) == {"key": exported}


@pytest.mark.parametrize("value", ENDLESS, ids=range(len(ENDLESS)))
def test_a_value_without_an_end_is_cut(wire: Wire, value: Any) -> None:
    before = time.monotonic()
    wire.tracer.start_span("span", attributes={"key": value, "nested": {"deep": value}}).end()
    took = time.monotonic() - before

    found = wire.spans()["span"]
    assert attributes(found).keys() == {"key", "nested"}
    assert found.ByteSize() < 4_000_000
    assert took < 2


def test_what_is_cut_of_a_value_is_shown(wire: Wire) -> None:
    texts, numbers = ["x" * 40_000] * 3, list(range(100_000))
    wire.tracer.start_span("span", attributes={"texts": texts, "numbers": numbers}).end()  # type: ignore[dict-item]

    found = attributes(wire.spans()["span"])
    assert [len(text) for text in found["texts"]] == [40_000, values.LONGEST_TEXT - 40_002, 1]
    assert {text[-1] for text in found["texts"][1:]} == {"…"}
    assert found["numbers"] == [*range(values.LONGEST_TEXT), "…"]


def test_attributes_that_were_not_looked_at_are_counted(wire: Wire) -> None:
    wire.tracer.start_span("span", attributes=dict.fromkeys(map(str, range(100_000)), 1)).end()

    (found,) = wire.spans().values()
    assert len(found.attributes) == MOST_ATTRIBUTES
    assert found.dropped_attributes_count == 100_000 - MOST_ATTRIBUTES


def test_a_huge_exception_costs_the_request_little(wire: Wire) -> None:
    error = ValueError("password=secret " + "x" * 10_000_000)
    error.__notes__ = ["token=secret " + "n" * 100_000] * 1000
    span = wire.tracer.start_span("span")
    before = time.monotonic()
    span.record_exception(error)
    took = time.monotonic() - before
    span.end()

    event = attributes(wire.spans()["span"].events[0])
    assert "secret" not in str(event)
    assert len(event["exception.stacktrace"]) <= 16_384
    assert took < 2


def test_what_is_no_value_is_left_out_and_counted_on_the_span(wire: Wire) -> None:
    span = wire.tracer.start_span("span")
    span.set_attribute("object", object())  # type: ignore[arg-type]
    span.set_attribute("", 1)
    span.set_attribute(7, 1)  # type: ignore[arg-type]
    span.end()

    (found,) = wire.spans().values()
    assert not found.attributes
    assert found.dropped_attributes_count == 3


def test_names_kinds_and_statuses_that_are_none(wire: Wire) -> None:
    for name, expected in ((None, ""), (b"bytes", "bytes"), (7, "7"), ("\ud800", "?")):
        span = wire.tracer.start_span(name, kind="SERVER")  # type: ignore[arg-type]
        span.set_status(StatusCode.ERROR, ValueError("broken"))  # type: ignore[arg-type]
        span.add_event(None)  # type: ignore[arg-type]
        span.end()
        found = wire.spans()[expected]
        assert found.kind == trace_pb2.Span.SPAN_KIND_INTERNAL
        assert found.status.message == "broken"
        assert [event.name for event in found.events] == [""]


def test_times_of_user_code_are_exact(wire: Wire) -> None:
    start, moment, end = 1_700_000_000_123_456_789, 1_700_000_000_123_456_790, 2**64 - 1
    span = wire.tracer.start_span("span", start_time=start)
    span.add_event("event", timestamp=moment)
    span.end(end)
    wire.tracer.start_span("zero", start_time=0).end(0)

    found = wire.spans()
    assert found["span"].start_time_unix_nano == start
    assert found["span"].events[0].time_unix_nano == moment
    assert found["span"].end_time_unix_nano == end
    assert (found["zero"].start_time_unix_nano, found["zero"].end_time_unix_nano) == (0, 0)


@pytest.mark.parametrize("moment", ODD_TIMES[1:], ids=range(1, len(ODD_TIMES)))
def test_an_impossible_time_becomes_now(wire: Wire, moment: Any) -> None:
    before = time.time_ns()
    wire.tracer.start_span("span", start_time=moment).end(moment)

    (found,) = wire.spans().values()
    assert abs(found.start_time_unix_nano - before) < 5e9
    assert abs(found.end_time_unix_nano - before) < 5e9


def test_a_mistake_that_comes_with_every_span_is_told_once(
    wire: Wire, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(values, "_warned", set())
    with caplog.at_level(logging.WARNING):
        for _ in range(50):
            wire.tracer.start_span("span", kind="SERVER").end()  # type: ignore[arg-type]

    assert caplog.text.count("SpanKind") == 1


def test_more_events_and_links_than_the_limit_are_counted(wire: Wire) -> None:
    span = wire.tracer.start_span("span")
    for _ in range(MOST_EVENTS + 3):
        span.add_event("event")
    for _ in range(MOST_LINKS + 2):
        span.add_link(REMOTE)
    span.end()

    (found,) = wire.spans().values()
    assert (len(found.events), found.dropped_events_count) == (MOST_EVENTS, 3)
    assert (len(found.links), found.dropped_links_count) == (MOST_LINKS, 2)


def test_a_span_that_cannot_be_encoded_costs_no_other(wire: Wire) -> None:
    """User code that goes past the methods."""
    names = []
    for number in range(9):
        span = wire.tracer.start_span(f"span {number}")
        if number == 4:
            assert isinstance(span, LightSpan)
            span.set_attribute_values["broken"] = object()
        else:
            names.append(f"span {number}")
        span.end()

    assert sorted(wire.spans()) == names
    assert wire.dropped == {"encoding_failed": 1}


def test_a_span_larger_than_a_receiver_takes_costs_no_other(wire: Wire) -> None:
    large = {f"key{number}": "x" * values.LONGEST_TEXT for number in range(100)}
    half = dict(list(large.items())[:40])
    for name, found in (("a", {}), ("large", large), ("b", half), ("c", half), ("d", {})):
        wire.tracer.start_span(name, attributes=found).end()  # type: ignore[arg-type]

    assert sorted(wire.spans()) == ["a", "b", "c", "d"]
    assert wire.dropped == {"too_large": 1}
    assert max(len(body) for _, body in wire.receiver.received) <= 4_000_000


@pytest.mark.parametrize(
    ("family", "host"),
    [(socket.AF_INET, "127.0.0.1"), pytest.param(socket.AF_INET6, "::1", marks=needs_ipv6)],
)
def test_a_span_larger_than_a_datagram_is_counted_and_costs_no_other(
    wire: Wire, monkeypatch: pytest.MonkeyPatch, family: socket.AddressFamily, host: str
) -> None:
    with socket.socket(family, socket.SOCK_DGRAM) as agent:
        agent.bind((host, 0))
        agent.settimeout(5)
        monkeypatch.setenv("JAEGER_AGENT_HOST", host)
        monkeypatch.setenv("JAEGER_AGENT_PORT", str(agent.getsockname()[1]))
        wire.queue.use(jaeger_agent.exporter(wire.queue.dropped))
        large = {f"key{number}": "x" * 7000 for number in range(20)}
        for name, found in (("first", {}), ("large", large), ("second", {}), ("third", {})):
            wire.tracer.start_span(name, attributes=found).end()  # type: ignore[arg-type]
        assert wire.provider.force_flush()
        datagrams = b""
        while not all(name in datagrams for name in (b"first", b"second", b"third")):
            datagrams += agent.recv(65_535)

    assert b"large" not in datagrams
    assert wire.dropped == {"too_large": 1}


class Particular(SpanExporter):
    """An exporter of the SDK whose encoder takes no span of one name, and takes a batch whole."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if any(span.name == "odd" for span in spans):
            raise ValueError("cannot encode")
        self.names += [span.name for span in spans]
        return SpanExportResult.SUCCESS


def test_an_exporter_of_the_sdk_loses_the_odd_span_alone(wire: Wire) -> None:
    exporter = Particular()
    wire.queue.use(exporter)

    for name in ("a", "b", "odd", "c"):
        wire.tracer.start_span(name).end()
    assert wire.provider.force_flush()

    assert sorted(exporter.names) == ["a", "b", "c"]
    assert wire.dropped == {"encoding_failed": 1}


def test_every_kind_is_exported_as_such(wire: Wire) -> None:
    for kind in SpanKind:
        wire.tracer.start_span(kind.name, kind=kind).end()

    found = wire.spans()
    for kind in SpanKind:
        assert trace_pb2.Span.SpanKind.Name(found[kind.name].kind) == f"SPAN_KIND_{kind.name}"
