"""The OTLP exporter against receivers that answer, refuse, hang and vanish, over real sockets."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from scripts.postgres import free_port
from telemetry.tracing.light import LightProvider, LightSpan
from telemetry.tracing.otlp_exporter import ExportError, OtlpExporter
from tests.telemetry.receiver import Receiver, spans_of

Make = Callable[..., OtlpExporter]


def spans(number: int = 3) -> list[LightSpan]:
    ended: list[Any] = []
    provider = LightProvider(
        lambda _trace, _parent: True, ended.append, ended.extend, lambda _reason, _spans: None
    )
    tracer = provider.get_tracer("test")
    for index in range(number):
        tracer.start_span(f"span {index}").end()
    return ended


def names(body: bytes) -> list[str]:
    return [span.name for span in spans_of(body)]


@pytest.fixture
def exporter() -> Iterator[Callable[..., OtlpExporter]]:
    made: list[OtlpExporter] = []

    def make(url: str, **options: Any) -> OtlpExporter:
        made.append(OtlpExporter(url, {"service.name": "test"}, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_spans_arrive_with_the_headers(receiver: Receiver, exporter: Make) -> None:
    sent = exporter(receiver.url, headers={"X-Tenant": "seven"})

    assert sent.export(spans()) == 0
    assert sent.export(spans(1)) == 0

    (headers, body), (_, second) = receiver.received
    assert names(body) == ["span 0", "span 1", "span 2"]
    assert names(second) == ["span 0"]
    assert headers["Content-Type"] == "application/x-protobuf"
    assert headers["X-Tenant"] == "seven"


def test_gzip(receiver: Receiver, exporter: Make) -> None:
    exporter(receiver.url, compression="gzip").export(spans(2))

    headers, body = receiver.received[0]
    assert headers["Content-Encoding"] == "gzip"
    assert names(gzip.decompress(body)) == ["span 0", "span 1"]


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_what_may_pass_is_tried_again(receiver: Receiver, exporter: Make, status: int) -> None:
    receiver.answers = [(status, {"Retry-After": "0"}, b"")] * 2

    exporter(receiver.url).export(spans())

    assert len(receiver.received) == 3
    assert len({body for _, body in receiver.received}) == 1


@pytest.mark.parametrize("status", [400, 401, 404, 413, 500])
def test_what_will_not_pass_is_given_up(receiver: Receiver, exporter: Make, status: int) -> None:
    receiver.answers = [(status, {}, b"")]

    with pytest.raises(ExportError, match=str(status)):
        exporter(receiver.url).export(spans())

    assert len(receiver.received) == 1


def test_the_receivers_pause_is_kept(receiver: Receiver, exporter: Make) -> None:
    receiver.answers = [(503, {"Retry-After": "1"}, b"")]
    started = time.monotonic()

    exporter(receiver.url).export(spans())

    assert time.monotonic() - started >= 1


def test_too_long_a_pause_is_not_waited_for(receiver: Receiver, exporter: Make) -> None:
    receiver.answers = [(503, {"Retry-After": "3600"}, b"")]
    started = time.monotonic()

    with pytest.raises(ExportError, match="503"):
        exporter(receiver.url, timeout=2).export(spans())

    assert time.monotonic() - started < 1


def test_nobody_listens(exporter: Make) -> None:
    started = time.monotonic()

    with pytest.raises(ExportError, match="refused"):
        exporter(f"http://127.0.0.1:{free_port()}/v1/traces", timeout=1).export(spans())

    assert time.monotonic() - started < 3


def test_a_receiver_that_hangs_holds_no_longer_than_the_time_out(exporter: Make) -> None:
    """A socket that accepts and never answers."""
    started = time.monotonic()

    with socket.create_server(("127.0.0.1", 0)) as silent:
        hanging = exporter(f"http://127.0.0.1:{silent.getsockname()[1]}/", timeout=0.5)
        with pytest.raises(ExportError, match="timed out"):
            hanging.export(spans())

    assert time.monotonic() - started < 2


def test_a_connection_closed_while_idle_is_made_again(receiver: Receiver, exporter: Make) -> None:
    receiver.close_after = True
    sent = exporter(receiver.url, timeout=1)

    for _ in range(3):
        sent.export(spans(1))
        time.sleep(0.05)

    assert len(receiver.received) == 3


def test_spans_that_the_receiver_refused_are_told(receiver: Receiver, exporter: Make) -> None:
    answer = ExportTraceServiceResponse()
    answer.partial_success.rejected_spans = 2
    receiver.answers = [(200, {}, answer.SerializeToString()), (200, {}, b"\xff\xffgarbage")]
    sent = exporter(receiver.url)

    assert sent.export(spans()) == 2
    assert sent.export(spans()) == 0


def test_a_process_that_ends_does_not_try_again(receiver: Receiver, exporter: Make) -> None:
    receiver.answers = [(503, {"Retry-After": "5"}, b"")] * 3
    sent = exporter(receiver.url, timeout=20)
    threading.Timer(0.2, sent.stop_retrying).start()
    started = time.monotonic()

    with pytest.raises(ExportError, match="503"):
        sent.export(spans())

    assert time.monotonic() - started < 3
