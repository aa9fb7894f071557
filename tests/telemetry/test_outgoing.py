"""Outgoing calls of ``requests``, to real servers: 127.0.0.1 and localhost are two hosts."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
import requests
from django.test import Client
from opentelemetry import baggage, context
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

import telemetry
from telemetry import settings
from tests.conftest import Sample, Spans

pytestmark = [pytest.mark.urls("tests.telemetry.site.urls"), pytest.mark.django_db]

OURS = {"traceparent", "x-correlation-id"}


class Elsewhere(ThreadingHTTPServer):
    """``/?status=503`` answers so, ``/?to=…`` redirects there; keeps the headers that came."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.received: list[dict[str, str]] = []
        threading.Thread(target=self.serve_forever, args=(0.01,)).start()

    def url(self, host: str = "127.0.0.1", query: str = "") -> str:
        return f"http://{host}:{self.server_port}/?{query}"

    def ours(self) -> list[set[str]]:
        """Which of our headers came with each call."""
        return [set(headers) & OURS for headers in self.received]


class Handler(BaseHTTPRequestHandler):
    server: Elsewhere

    def do_GET(self) -> None:
        self.server.received.append({name.lower(): value for name, value in self.headers.items()})
        asked = parse_qs(urlsplit(self.path).query)
        self.send_response(302 if "to" in asked else int(asked.get("status", ["200"])[0]))
        self.send_header("Content-Length", "0")
        for address in asked.get("to", []):
            self.send_header("Location", address)
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        """The test looks at what was received, not at a line."""


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    server = Elsewhere()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def only_127(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our ids go to 127.0.0.1 alone."""
    made = settings.checked({"PROPAGATE_TO_HOSTS": ["127.0.0.1"], "TRUST_INCOMING_TRACE": True})
    monkeypatch.setattr(settings, "get", lambda: made)


def calls(spans: Spans) -> list[ReadableSpan]:
    return [span for span in spans() if span.kind is SpanKind.CLIENT]


def test_every_host_gets_our_ids_when_none_is_named(client: Client, elsewhere: Elsewhere) -> None:
    client.get("/call/", {"url": elsewhere.url("127.0.0.1")})
    client.get("/call/", {"url": elsewhere.url("localhost")})

    assert elsewhere.ours() == [OURS, OURS]


@pytest.mark.usefixtures("only_127")
def test_other_hosts_than_those_named_get_none(
    client: Client, elsewhere: Elsewhere, spans: Spans
) -> None:
    client.get("/call/", {"url": elsewhere.url("127.0.0.1")})
    client.get("/call/", {"url": elsewhere.url("localhost")})

    assert elsewhere.ours() == [OURS, set()]
    assert len(calls(spans)) == 2


@pytest.mark.usefixtures("only_127")
@pytest.mark.parametrize(
    ("hosts", "wanted"),
    [
        (("127.0.0.1", "localhost"), [OURS, set()]),
        (("localhost", "127.0.0.1"), [set(), OURS]),
        (("127.0.0.1", "localhost", "127.0.0.1"), [OURS, set(), OURS]),
    ],
)
def test_a_redirect_to_another_host_does_not_carry_them(
    client: Client, elsewhere: Elsewhere, hosts: tuple[str, ...], wanted: list[set[str]]
) -> None:
    *first, last = hosts
    url = elsewhere.url(last)
    for host in reversed(first):
        url = elsewhere.url(host, f"to={quote(url, safe='')}")

    client.get("/call/", {"url": url})

    assert elsewhere.ours() == wanted


@pytest.mark.usefixtures("only_127")
def test_the_state_of_a_callers_trace_stays_as_well(client: Client, elsewhere: Elsewhere) -> None:
    there = quote(elsewhere.url("localhost"), safe="")
    caller = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01", "tracestate": "vendor=1"}

    client.get("/call/", {"url": elsewhere.url("127.0.0.1", f"to={there}")}, headers=caller)

    assert [headers.get("tracestate") for headers in elsewhere.received] == ["vendor=1", None]


@pytest.mark.usefixtures("only_127")
def test_headers_that_somebody_else_set_are_left_alone(elsewhere: Elsewhere) -> None:
    theirs = {"traceparent": f"00-{'c' * 32}-{'d' * 16}-01", "X-Correlation-ID": "theirs"}

    @telemetry.traced("call")
    def call() -> None:
        requests.get(elsewhere.url("localhost"), headers=theirs, timeout=5)

    call()

    (received,) = elsewhere.received
    assert {name: received[name.lower()] for name in theirs} == theirs


def test_baggage_is_not_passed_on(client: Client, elsewhere: Elsewhere) -> None:
    client.get("/call/", {"url": elsewhere.url()}, headers={"baggage": "user=anna"})
    token = context.attach(baggage.set_baggage("user", "anna"))
    try:
        requests.get(elsewhere.url(), timeout=5)
    finally:
        context.detach(token)

    assert len(elsewhere.received) == 2
    assert not [headers for headers in elsewhere.received if "baggage" in headers]
    assert "anna" not in str(elsewhere.received)


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"


@pytest.fixture
def nobody() -> str:
    """An address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    return f"http://127.0.0.1:{port}/"


def test_an_answer_is_counted_by_its_status(
    elsewhere: Elsewhere, sample: Sample, spans: Spans
) -> None:
    labels = {"host": "127.0.0.1", "method": "GET", "status": "503"}
    before = sample("http_client_requests_total", **labels)

    requests.get(elsewhere.url(query="status=503"), timeout=5)

    assert sample("http_client_requests_total", **labels) == before + 1
    (span,) = calls(spans)
    assert span.attributes is not None
    assert span.attributes["error.type"] == "503"


def test_each_hop_of_a_redirect_is_a_call(
    elsewhere: Elsewhere, sample: Sample, spans: Spans
) -> None:
    def counted() -> list[float]:
        names = [("127.0.0.1", "302"), ("localhost", "200")]
        return [
            sample("http_client_requests_total", host=host, method="GET", status=status)
            for host, status in names
        ]

    before = counted()

    requests.get(elsewhere.url(query=f"to={quote(elsewhere.url('localhost'))}"), timeout=5)

    assert [after - earlier for after, earlier in zip(counted(), before, strict=True)] == [1, 1]
    statuses = [dict(span.attributes or {})["http.response.status_code"] for span in calls(spans)]
    assert sorted(map(str, statuses)) == ["200", "302"]


@pytest.mark.parametrize(
    ("where", "status", "kind"),
    [("silent", "timeout", "ReadTimeout"), ("nobody", "error", "ConnectionError")],
)
def test_errors_and_timeouts_are_told_apart(
    request: pytest.FixtureRequest,
    sample: Sample,
    spans: Spans,
    where: str,
    status: str,
    kind: str,
) -> None:
    labels = {"host": "127.0.0.1", "method": "GET", "status": status}
    before = sample("http_client_requests_total", **labels)

    with pytest.raises(getattr(requests, kind)):
        requests.get(request.getfixturevalue(where), timeout=0.2)

    assert sample("http_client_requests_total", **labels) == before + 1
    (span,) = calls(spans)
    attributes: dict[str, Any] = dict(span.attributes or {})
    assert (span.status.status_code, attributes["error.type"]) == (StatusCode.ERROR, kind)


def test_an_address_that_is_none_fails_as_it_does_without_us(sample: Sample) -> None:
    labels = {"host": "none", "method": "GET", "status": "error"}
    before = sample("http_client_requests_total", **labels)
    prepared = requests.Request("GET", "http://localhost/").prepare()
    prepared.url = "http://localhost:99999/"

    with pytest.raises(requests.exceptions.InvalidURL), requests.Session() as session:
        session.send(prepared)

    assert sample("http_client_requests_total", **labels) == before + 1
