"""The OTLP exporter against receivers that answer, refuse, hang and vanish, over real sockets."""

from __future__ import annotations

import base64
import contextlib
import gzip
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from telemetry.tracing.light import LightProvider, LightSpan
from telemetry.tracing.otlp_exporter import ExportError, OtlpExporter
from testing.postgres import free_port
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


@pytest.mark.parametrize("pause", ["0", "00", "-1", "soon", "0.001"])
def test_a_receiver_that_wants_no_pause_is_not_asked_without_end(
    receiver: Receiver, exporter: Make, pause: str
) -> None:
    receiver.answers = [(429, {"Retry-After": pause}, b"")] * 1000

    with pytest.raises(ExportError, match="429"):
        exporter(receiver.url, timeout=1).export(spans())

    assert 2 <= len(receiver.received) <= 5


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


class Raw:
    """A server that does with each connection what it is told, and keeps what came."""

    def __init__(self, behave: Callable[[socket.socket], None]) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/v1/traces"
        self.behave = behave
        self.came: list[bytes] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                self.came.append(connection.recv(65_536))
                self.behave(connection)


def drip(what: bytes, seconds: float) -> Callable[[socket.socket], None]:
    """A byte at a time: no single read ever waits long."""

    def behave(connection: socket.socket) -> None:
        for byte in what:
            connection.sendall(bytes((byte,)))
            time.sleep(seconds)

    return behave


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\n"
SLOW = {
    "status line": drip(HEAD * 20, 0.05),
    "headers": drip(b"HTTP/1.1 200 OK\r\n" + b"X-More: yes\r\n" * 90, 0.05),
    "continue for ever": drip(b"HTTP/1.1 100 Continue\r\n\r\n" * 50, 0.02),
    "body": drip(HEAD + b"Content-Length: 60000\r\n\r\n" + b"x" * 1000, 0.02),
    "chunks": drip(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 500, 0.02),
    "nothing": lambda _connection: time.sleep(5),
}


@pytest.mark.parametrize("behave", SLOW.values(), ids=SLOW)
def test_a_slow_answer_ends_at_the_time_out_of_the_whole_export(
    exporter: Make, behave: Callable[[socket.socket], None]
) -> None:
    raw = Raw(behave)
    started = time.monotonic()

    with pytest.raises(ExportError, match="timed out"):
        exporter(raw.url, timeout=0.7).export(spans())

    assert 0.6 <= time.monotonic() - started < 1.5
    raw.socket.close()


def test_a_receiver_that_does_not_read_ends_there_too(exporter: Make) -> None:
    raw = Raw(lambda _connection: time.sleep(5))
    many = spans(3)
    for span in many:
        span.set_attribute_values = {f"key{number}": "x" * 60_000 for number in range(15)}
    started = time.monotonic()

    with pytest.raises(ExportError, match="timed out"):
        exporter(raw.url, timeout=0.7).export(many * 4)

    assert time.monotonic() - started < 1.5
    raw.socket.close()


@pytest.mark.parametrize(
    "head",
    [HEAD + b"Content-Length: 999999999\r\n\r\n", HEAD + b"\r\n"],
    ids=["with its length", "until it closes"],
)
def test_an_endless_answer_is_read_up_to_a_bound(exporter: Make, head: bytes) -> None:
    sent = [0]

    def behave(connection: socket.socket) -> None:
        connection.sendall(head)
        while sent[0] < 200_000_000:
            sent[0] += connection.send(b"x" * 65_536)

    raw = Raw(behave)
    started = time.monotonic()

    assert exporter(raw.url, timeout=10).export(spans()) == 0

    assert time.monotonic() - started < 3
    # What the buffers of the sockets hold, and no more.
    time.sleep(0.2)
    assert sent[0] < 20_000_000
    raw.socket.close()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(receiver: Receiver, exporter: Make, status: int) -> None:
    elsewhere = Raw(lambda _connection: None)
    receiver.answers = [(status, {"Location": elsewhere.url}, b"")]

    with pytest.raises(ExportError, match=str(status)):
        exporter(receiver.url).export(spans())

    assert elsewhere.came == []
    assert len(receiver.received) == 1


@pytest.mark.parametrize(
    ("login", "decoded"),
    [
        ("user:password", "user:password"),
        ("user:p%40ss%3Aword%2F", "user:p@ss:word/"),
        ("us%C3%A9r:p", "usér:p"),
        ("token", "token:"),
        (":p", ":p"),
    ],
)
def test_a_login_in_the_address_is_basic_authentication(
    receiver: Receiver, exporter: Make, login: str, decoded: str
) -> None:
    address = receiver.url.replace("//", f"//{login}@")
    exporter(f"{address}/v1/traces").export(spans())

    headers, _ = receiver.received[0]
    scheme, _, value = headers["Authorization"].partition(" ")
    assert (scheme, base64.b64decode(value).decode()) == ("Basic", decoded)
    assert headers["Host"] == receiver.url.removeprefix("http://")
    assert receiver.paths == ["/v1/traces"]


def test_what_is_no_http_is_tried_again_and_costs_no_later_export(
    receiver: Receiver, exporter: Make
) -> None:
    """http.client raises ValueError for a chunk of a length below zero."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nabc"
    raw = Raw(lambda connection: connection.sendall(head))

    with pytest.raises(ExportError, match="ValueError"):
        exporter(raw.url, timeout=1).export(spans())

    assert len(raw.came) >= 2
    raw.socket.close()


def test_a_header_that_was_set_goes_before_the_login(receiver: Receiver, exporter: Make) -> None:
    address = receiver.url.replace("//", "//user:password@")
    exporter(address, headers={"authorization": "Bearer mine"}).export(spans())

    headers, _ = receiver.received[0]
    assert headers.get_all("Authorization") == ["Bearer mine"]


def test_what_a_receiver_says_is_bounded_in_the_log(
    receiver: Receiver, exporter: Make, caplog: pytest.LogCaptureFixture
) -> None:
    answer = ExportTraceServiceResponse()
    answer.partial_success.rejected_spans = 2**40
    answer.partial_success.error_message = "full " * 10_000
    receiver.answers = [(200, {}, answer.SerializeToString())] * 3
    sent = exporter(receiver.url)

    assert [sent.export(spans()) for _ in range(3)] == [3, 3, 3]

    (record,) = caplog.records
    assert len(record.getMessage()) < 300


def test_deflate(receiver: Receiver, exporter: Make) -> None:
    exporter(receiver.url, compression="deflate").export(spans(2))

    headers, body = receiver.received[0]
    assert headers["Content-Encoding"] == "deflate"
    assert names(zlib.decompress(body)) == ["span 0", "span 1"]


def test_a_path_is_encoded_for_the_request_line(receiver: Receiver, exporter: Make) -> None:
    exporter(f"{receiver.url}/é/%20x?key=ü").export(spans())

    assert receiver.paths == ["/%C3%A9/%20x?key=%C3%BC"]


def test_a_proxy_of_the_environment_leads_to_the_receiver(
    receiver: Receiver, exporter: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", receiver.url.replace("//", "//user:pw@"))
    monkeypatch.setenv("no_proxy", "")

    exporter("http://u:p@collector.invalid:4318/v1/traces", by_proxy=True).export(spans())

    headers, _ = receiver.received[0]
    assert receiver.paths == ["http://collector.invalid:4318/v1/traces"]
    assert headers["Host"] == "collector.invalid:4318"
    assert headers["Proxy-Authorization"] == "Basic dXNlcjpwdw=="
    assert headers["Authorization"] == "Basic dTpw"


def test_a_proxy_that_leads_nowhere_is_an_error(
    exporter: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = Raw(lambda connection: connection.sendall(b"HTTP/1.1 403 No\r\n\r\n"))
    monkeypatch.setenv("https_proxy", raw.url)
    monkeypatch.setenv("no_proxy", "")

    with pytest.raises(ExportError, match="the proxy answered 403"):
        exporter("https://collector.invalid/", by_proxy=True, timeout=0.5).export(spans())

    assert raw.came[0].startswith(b"CONNECT collector.invalid:443 HTTP/1.1\r\n")
    raw.socket.close()
