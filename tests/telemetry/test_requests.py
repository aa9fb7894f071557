"""One request in every odd shape, by what it leaves: answer, metrics, span, line."""

from __future__ import annotations

import asyncio
import gzip
import re
from typing import Any

import prometheus_client
import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.test import (
    AsyncClient,
    AsyncRequestFactory,
    Client,
    RequestFactory,
    override_settings,
)
from opentelemetry import trace
from opentelemetry.trace import SpanKind
from prometheus_client import parser as prometheus
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from telemetry import seen
from telemetry import settings as telemetry_settings
from telemetry.middleware import TelemetryMiddleware
from telemetry.testing import assert_no_repeated_queries
from tests.conftest import Lines, Sample, Spans

pytestmark = [pytest.mark.urls("tests.telemetry.site.urls"), pytest.mark.django_db]

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def client() -> Client:
    return Client(raise_request_exception=False)


def request_line(log_lines: Lines) -> dict[str, Any]:
    (line,) = [line for line in log_lines() if line["logger"] == "telemetry.request"]
    return line


@pytest.mark.parametrize(
    ("method", "path", "label", "endpoint", "status"),
    [
        ("GET", "/nowhere/at/all/", "GET", "unmatched", 404),
        ("BREW", "/hello/", "OTHER", "/hello/", 200),
        ("HEAD", "/hello/", "HEAD", "/hello/", 200),
        ("GET", "/missing/", "GET", "/missing/", 404),
        ("GET", "/refuse/", "GET", "/refuse/", 403),
        ("GET", "/fail/", "GET", "/fail/", 500),
        ("GET", "/unavailable/", "GET", "/unavailable/", 503),
        ("GET", "/async/7/", "GET", "/async/{id}/", 200),
        ("GET", "/fail-async/", "GET", "/fail-async/", 500),
        ("GET", "/stream/", "GET", "/stream/", 200),
        ("GET", "/old/a-b/12/", "GET", "/old/{slug}/{value}/", 200),
        ("GET", "/" + "x" * 5000 + "/", "GET", "unmatched", 404),
    ],
)
def test_a_request_is_counted_once_with_bounded_labels(
    client: Client,
    sample: Sample,
    method: str,
    path: str,
    label: str,
    endpoint: str,
    status: int,
) -> None:
    labels = {"method": label, "endpoint": endpoint, "status": str(status)}
    before = sample("http_requests_total", **labels)

    response = client.generic(method, path)
    if response.streaming:
        b"".join(response)
        response.close()

    assert response.status_code == status
    assert sample("http_requests_total", **labels) == before + 1
    assert sample("http_requests_in_progress", method=label) == 0


@pytest.mark.parametrize("path", ["/fail/", "/fail-async/"])
def test_an_exception_is_told_once_by_each_signal(
    client: Client, log_lines: Lines, spans: Spans, sample: Sample, path: str
) -> None:
    labels = {"type": "RuntimeError", "endpoint": path}
    before = sample("errors_total", **labels)

    client.get(path)

    assert sample("errors_total", **labels) == before + 1
    (line,) = log_lines()
    assert (line["level"], line["exception"]["type"], line["exception"]["message"]) == (
        "error",
        "RuntimeError",
        "it broke",
    )
    (span,) = spans()
    assert [event.name for event in span.events] == ["exception"]
    assert span.attributes["error.type"] == "RuntimeError"


def test_a_view_that_says_it_was_cancelled_failed(log_lines: Lines, sample: Sample) -> None:
    """Nobody went away: its client gets a 500, and so do the signals."""
    labels = {"type": "CancelledError", "endpoint": "/cancels-itself/"}
    before = sample("errors_total", **labels)

    with pytest.raises(asyncio.CancelledError):
        Client().get("/cancels-itself/")

    assert request_line(log_lines)["status"] == 500
    assert sample("errors_total", **labels) == before + 1


@pytest.mark.parametrize(("somebody", "status"), [(True, 499), (False, 500)])
def test_who_cancels_an_asynchronous_request(log_lines: Lines, somebody: bool, status: int) -> None:
    async def view(_request: HttpRequest) -> HttpResponse:
        if not somebody:
            raise asyncio.CancelledError
        await asyncio.sleep(60)
        return HttpResponse()

    async def serve() -> None:
        request = AsyncRequestFactory().get("/")
        task = asyncio.ensure_future(TelemetryMiddleware(view)(request))  # type: ignore[arg-type]
        await asyncio.sleep(0.01)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(serve())

    assert request_line(log_lines)["status"] == status


def test_a_5xx_without_an_exception_is_an_error_too(client: Client, sample: Sample) -> None:
    labels = {"type": "http_5xx", "endpoint": "/unavailable/"}
    before = sample("errors_total", **labels)

    client.get("/unavailable/")

    assert sample("errors_total", **labels) == before + 1


def test_the_first_request_to_an_endpoint_starts_its_500_at_zero(
    client: Client, sample: Sample
) -> None:
    client.get("/slow/?seconds=0")

    text = client.get("/metrics").content.decode()
    assert 'http_requests_total{endpoint="/slow/",method="GET",status="500"} 0.0' in text


def test_an_endpoint_counts_the_statements_of_its_requests_and_their_time(
    client: Client, log_lines: Lines, sample: Sample
) -> None:
    labels = {"method": "GET", "endpoint": "/stream/"}
    names = ("http_request_database_queries_total", "http_request_database_seconds_total")
    before = [sample(name, **labels) for name in names]

    b"".join(client.get("/stream/"))

    line = request_line(log_lines)
    queries, seconds = (
        sample(name, **labels) - was for name, was in zip(names, before, strict=True)
    )
    assert line["db_queries"] > 0
    assert queries == line["db_queries"]
    assert seconds == pytest.approx(line["db_seconds"], abs=1e-6)


def test_a_streamed_answer_counts_its_bytes_and_statements(
    client: Client, log_lines: Lines
) -> None:
    body = b"".join(client.get("/stream/"))

    line = request_line(log_lines)
    assert (line["response_bytes"], line["db_queries"]) == (len(body), 5)


def test_a_stream_that_breaks_is_a_500(client: Client, log_lines: Lines) -> None:
    with pytest.raises(RuntimeError):
        b"".join(client.get("/stream-fails/"))

    line = request_line(log_lines)
    assert (line["status"], line["response_bytes"]) == (500, 3)


def test_a_stream_that_nobody_reads_to_its_end_is_a_499(client: Client, log_lines: Lines) -> None:
    response = client.get("/stream/")
    next(iter(response))

    response.close()

    assert request_line(log_lines)["status"] == 499


@pytest.mark.django_db(transaction=True)
def test_what_a_stream_does_when_it_is_closed_belongs_to_the_request(
    client: Client, log_lines: Lines
) -> None:
    response = client.get("/stream-closes/")
    next(iter(response))

    response.close()

    said, line = log_lines()
    assert said["message"] == "closed"
    assert said["correlation_id"] == line["correlation_id"]
    assert (line["status"], line["db_queries"]) == (499, 1)


async def read(response: Any) -> bytes:
    return b"".join([piece async for piece in response])


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", ["/hello/", "/async/7/", "/query/", "/query-async/"])
def test_views_of_both_kinds_work_under_asgi(log_lines: Lines, spans: Spans, path: str) -> None:
    response = async_to_sync(AsyncClient().get)(path)

    assert response.status_code == 200
    line = request_line(log_lines)
    assert line["correlation_id"] == response["X-Correlation-ID"]
    assert {f"{span.context.trace_id:032x}" for span in spans()} == {line["trace_id"]}


def test_an_asynchronous_stream_is_counted_at_its_end(log_lines: Lines) -> None:
    async def ask() -> bytes:
        return await read(await AsyncClient().get("/stream-async/"))

    body = async_to_sync(ask)()

    assert request_line(log_lines)["response_bytes"] == len(body)


def test_an_asynchronous_stream_of_which_nobody_takes_a_byte_is_counted(
    log_lines: Lines, sample: Sample
) -> None:
    response = async_to_sync(AsyncClient().head)("/stream-async/")
    response.close()

    assert request_line(log_lines)["status"] == 200
    assert sample("http_requests_in_progress", method="HEAD") == 0


@pytest.mark.parametrize(
    "broken",
    ["ünïcode=1", "a", "=", "A=1", "a=1,b", "a=1,a=2", "a=" + "x" * 300, "k=v" + ",k=v" * 40],
    ids=range(8),
)
def test_a_broken_tracestate_is_dropped_and_nobody_is_warned(
    client: Client, log_lines: Lines, spans: Spans, broken: str
) -> None:
    with override_settings(TELEMETRY={"TRUST_INCOMING_TRACE": True}):
        client.get("/hello/", headers={"traceparent": CALLER, "tracestate": broken})

    (server,) = spans()
    assert f"{server.context.trace_id:032x}" == CALLER.split("-")[1]
    assert not server.context.trace_state
    assert [line["level"] for line in log_lines()] == ["info", "info"]


@pytest.mark.parametrize("state", ["a=1", " a=1 ,, b_c-d*e/f=!x y~", "1tenant@vendor=x"])
def test_a_whole_tracestate_is_kept(client: Client, spans: Spans, state: str) -> None:
    with override_settings(TELEMETRY={"TRUST_INCOMING_TRACE": True}):
        client.get("/hello/", headers={"traceparent": CALLER, "tracestate": state})

    (server,) = spans()
    wanted = ",".join(member.strip() for member in state.split(",") if member.strip())
    assert server.context.trace_state.to_header() == wanted


@pytest.mark.parametrize(
    "sent", ["a" * 129, "new\nline", "sp ace", "<script>", "", "ünïcode", "a\x00b"]
)
def test_a_correlation_id_that_is_none_is_replaced_and_repeated_nowhere(
    client: Client, log_lines: Lines, sent: str
) -> None:
    response = client.get("/hello/", HTTP_X_CORRELATION_ID=sent)

    assert re.fullmatch("[0-9a-f]{32}", response["X-Correlation-ID"])
    if sent:
        assert sent not in str(log_lines())


@pytest.mark.parametrize("trusted", [True, False])
def test_a_callers_trace_is_continued_or_linked(
    client: Client, spans: Spans, monkeypatch: pytest.MonkeyPatch, trusted: bool
) -> None:
    monkeypatch.setattr(
        telemetry_settings, "get", lambda: telemetry_settings.Settings(TRUST_INCOMING_TRACE=trusted)
    )

    client.get("/hello/", headers={"traceparent": CALLER})

    (span,) = spans()
    continued = f"{span.context.trace_id:032x}" == CALLER.split("-")[1]
    assert (continued, len(span.links)) == ((True, 0) if trusted else (False, 1))


def test_an_unsampled_request_has_ids_and_leaves_no_span(
    client: Client, log_lines: Lines, spans: Spans, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace.get_tracer_provider(), "decide", lambda _trace_id, _parent: False)

    timing = client.get("/query/")["Server-Timing"]

    line = request_line(log_lines)
    assert re.fullmatch(r"[0-9a-f]{32}", line["trace_id"])
    assert f"00-{line['trace_id']}-{line['span_id']}-00" in timing
    assert line["db_queries"] == 1
    assert spans() == []


@pytest.mark.parametrize(
    "broken",
    ["", "00", "00-0-0-00", CALLER.replace("00-", "ff-", 1), CALLER + "-extra", "x" * 10_000],
)
def test_a_broken_traceparent_begins_a_new_trace(client: Client, spans: Spans, broken: str) -> None:
    response = client.get("/hello/", HTTP_TRACEPARENT=broken)

    (span,) = spans()
    assert response.status_code == 200
    assert span.parent is None


@pytest.mark.parametrize(
    ("setting", "debug", "who", "shown"),
    [
        ("staff", False, "staff", True),
        ("staff", False, "user", False),
        ("staff", False, "anonymous", False),
        ("nobody", False, "staff", False),
        ("nobody", False, "anonymous", False),
        # Who develops sees it, whoever is logged in.
        ("staff", True, "anonymous", True),
        ("nobody", True, "anonymous", True),
    ],
)
def test_the_setting_says_who_gets_the_database_part_of_server_timing(
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
    settings: Any,
    setting: str,
    debug: bool,
    who: str,
    shown: bool,
) -> None:
    made = telemetry_settings.checked({"SERVER_TIMING_DATABASE": setting})
    monkeypatch.setattr(telemetry_settings, "get", lambda: made)
    settings.DEBUG = debug
    if who != "anonymous":
        user = get_user_model().objects.create_user("anna", is_staff=who == "staff")
        client.force_login(user)

    timing = client.get("/user/")["Server-Timing"]

    assert ("db;dur=" in timing) is shown
    assert timing.startswith("total;dur=")
    assert "traceparent;desc=" in timing


def test_the_database_part_is_not_for_staff_whom_nobody_looked_at(client: Client) -> None:
    client.force_login(get_user_model().objects.create_user("staff", is_staff=True))

    assert "db;" not in client.get("/hello/")["Server-Timing"]


def test_the_user_is_logged_only_when_something_loaded_it(client: Client, log_lines: Lines) -> None:
    user = get_user_model().objects.create_user("anna")
    client.force_login(user)

    response = client.get("/hello/")
    client.get("/user/")

    lines = [line for line in log_lines() if line["logger"] == "telemetry.request"]
    assert [line["user_id"] for line in lines] == [None, user.pk]
    assert lines[0]["db_queries"] == 0
    assert "Cookie" not in response.get("Vary", "")


def test_a_bound_field_of_any_name_loses_neither_the_line_nor_the_request(
    client: Client, log_lines: Lines
) -> None:
    response = client.get("/bound-oddly/")

    assert response.status_code == 200
    inside, outside = log_lines()
    assert (inside["message"], inside["name"], inside["event_"]) == ("inside there", "odd", "odd")
    assert (outside["message"], outside["status"]) == ("GET /bound-oddly/ 200", 200)
    assert (outside["name"], outside["message_"]) == ("odd", "odd")
    assert inside["correlation_id"] == outside["correlation_id"] == response["X-Correlation-ID"]
    assert (inside["trace_id"], inside["trace_id_"]) == (outside["trace_id"], "odd")


def test_a_request_with_too_much_bound_keeps_what_its_line_is_for(
    client: Client, log_lines: Lines
) -> None:
    client.get("/bound-much/")

    line = request_line(log_lines)
    assert line["truncated"].startswith("the line had 1")
    assert (line["method"], line["endpoint"], line["status"]) == ("GET", "/bound-much/", 200)
    assert line["duration_seconds"] > 0
    assert "field_1" not in line


def test_a_failure_of_telemetry_does_not_cost_the_answer(
    client: Client, log_lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(_request: object) -> str:
        raise OSError("disk full")

    monkeypatch.setattr(seen, "endpoint", breaks)

    assert client.get("/hello/").content == b"hello world"
    assert log_lines()[-1]["exception"]["message"] == "disk full"


def test_repeated_statements_are_counted_and_warned_about(
    client: Client, sample: Sample, log_lines: Lines
) -> None:
    before = sample("http_repeated_queries_total", endpoint="/repeated/")

    client.get("/repeated/")

    assert sample("http_repeated_queries_total", endpoint="/repeated/") == before + 1
    line = request_line(log_lines)
    assert (line["level"], line["repeated_queries"]) == ("warning", 1)
    assert line["repeated_times"] == 20
    assert "SELECT" in line["repeated_statement"]
    assert re.fullmatch(r".*tests/telemetry/site/urls\.py:\d+ repeated", line["repeated_at"])


@pytest.mark.parametrize(("times", "counted"), [(10, 0), (11, 1), (12, 1)])
def test_a_statement_is_repeated_when_it_runs_more_often_than_the_setting(
    client: Client, sample: Sample, times: int, counted: int
) -> None:
    assert telemetry_settings.get().REPEATED_QUERIES == 10
    before = sample("http_repeated_queries_total", endpoint="/repeated/")

    client.get("/repeated/", {"times": times})

    assert sample("http_repeated_queries_total", endpoint="/repeated/") == before + counted


@pytest.mark.parametrize(
    ("nanoseconds", "milliseconds"),
    [
        (0, "0.0"),
        (49_999, "0.0"),
        (50_000, "0.1"),
        (149_999, "0.1"),
        (150_000, "0.2"),
        (99_949_999, "99.9"),
        (99_950_000, "100.0"),
        (1_234_567_890, "1234.6"),
    ],
)
def test_the_time_for_the_browser_is_rounded_to_tenths(nanoseconds: int, milliseconds: str) -> None:
    assert seen._milliseconds(nanoseconds) == milliseconds


def test_a_repeated_statement_is_one_event_of_the_span(client: Client, spans: Spans) -> None:
    client.get("/repeated/")

    (server,) = [span for span in spans() if span.kind is SpanKind.SERVER]
    (event,) = server.events
    assert event.name == "repeated query"
    assert event.attributes is not None
    assert "SELECT" in str(event.attributes["db.query.text"])
    assert "urls.py" in str(event.attributes["code.line"])


def test_the_spans_of_one_request_are_bounded(
    client: Client, spans: Spans, sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = telemetry_settings.checked({"SPANS_PER_TRACE": 3})
    monkeypatch.setattr(telemetry_settings, "get", lambda: made)
    before = sample("telemetry_spans_dropped_total", reason="span_limit")

    client.get("/many-queries/?n=10")

    kinds = [span.kind for span in spans()]
    assert (kinds.count(SpanKind.CLIENT), kinds.count(SpanKind.SERVER)) == (3, 1)
    assert sample("telemetry_spans_dropped_total", reason="span_limit") == before + 7


def test_spans_of_user_code_are_bounded_as_well(
    client: Client, spans: Spans, sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = telemetry_settings.checked({"SPANS_PER_TRACE": 2})
    monkeypatch.setattr(telemetry_settings, "get", lambda: made)
    before = sample("telemetry_spans_dropped_total", reason="span_limit")

    client.get("/many-spans/")

    ended = {span.name: span for span in spans()}
    assert list(ended) == ["span 0", "span 1", "GET /many-spans/"]
    assert sample("telemetry_spans_dropped_total", reason="span_limit") == before + 4


@pytest.mark.django_db(transaction=True)
def test_statements_of_the_asynchronous_orm_belong_to_their_request(
    log_lines: Lines, spans: Spans
) -> None:
    async_to_sync(AsyncClient().get)("/query-async/")

    assert request_line(log_lines)["db_queries"] == 1
    statement, server = spans()
    assert (statement.name, server.kind) == ("SELECT auth_user", SpanKind.SERVER)
    assert statement.parent == server.context


def test_a_test_can_forbid_repeated_statements(client: Client) -> None:
    with assert_no_repeated_queries(limit=20):
        client.get("/repeated/")
    problem = r"(?s)20 times: SELECT.*urls\.py:\d+ repeated"
    with pytest.raises(AssertionError, match=problem), assert_no_repeated_queries():
        client.get("/repeated/")


def test_a_hostile_host_is_a_400_with_its_reason_in_the_one_line(
    client: Client, log_lines: Lines
) -> None:
    response = client.get("/hello/", headers={"host": "evil.example"})

    assert response.status_code == 400
    (line,) = log_lines()
    assert "evil.example" in line["reason"]


def test_only_reading_is_answered_on_our_own_paths(client: Client) -> None:
    assert client.post("/metrics").status_code == 405
    assert client.delete("/health/live").status_code == 405


def test_metrics_want_the_token_where_one_is_set(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METRICS_TOKEN", "let-me-in")

    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", headers={"authorization": "Bearer no"}).status_code == 401
    assert client.get("/metrics", headers={"authorization": "bearer let-me-in"}).status_code == 200


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("application/openmetrics-text;version=1.0.0;q=0.6,text/plain;q=0.3,*/*;q=0.2", "openm"),
        ("text/plain;q=0.3,application/openmetrics-text;version=1.0.0;q=0.6", "openmetrics"),
        ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain", "text/plain"),
        ("application/openmetrics-text;version=1.0.0;q=0", "text/plain"),
        ("application/openmetrics-text;version=1.0.0;q=0.000, */*", "text/plain"),
        ("Application/OpenMetrics-Text; Version=1.0.0; Q=1.0", "openmetrics"),
        ("application/openmetrics-text;version=0.0.1,text/plain;version=0.0.4;q=0.5", "text/plain"),
        ("application/openmetrics-text;version=1.0.0;q=high", "openmetrics"),
    ],
)
def test_a_scrape_is_of_the_kind_that_weighs_most(client: Client, accept: str, kind: str) -> None:
    assert kind in client.get("/metrics", headers={"accept": accept})["Content-Type"]


@pytest.mark.parametrize("path", ["/metrics", "/health/live", "/health/ready"])
def test_a_head_of_our_own_paths_has_the_length_and_no_body(path: str) -> None:
    """Asked of the handler: the client of the tests takes the body away itself, as servers do."""
    request = RequestFactory().head(path)

    response = WSGIHandler().get_response(request)

    assert response.content == b""
    assert int(response["Content-Length"]) > 10


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text; version=1.0.0", "*/*", "x"])
def test_both_formats_can_be_read(client: Client, accept: str) -> None:
    response = client.get("/metrics", headers={"accept": accept})

    text = response.content.decode()
    wanted = "openmetrics" in accept
    assert text.endswith("# EOF\n") is wanted
    parse = openmetrics.text_string_to_metric_families if wanted else text_string_to_metric_families
    assert "http_requests" in {family.name for family in parse(text)}


def test_a_scrape_is_compressed_for_those_who_take_it(client: Client) -> None:
    response = client.get("/metrics", headers={"Accept-Encoding": "br;q=1.0, gzip;q=0.8"})

    assert response["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in response["Vary"]
    assert b"# TYPE http_requests_total counter" in gzip.decompress(response.content)


@pytest.mark.parametrize("version", ["abc", "1.x", "", "9" * 5000, "-1"])
@pytest.mark.parametrize("kind", ["application/openmetrics-text", "text/plain"])
def test_a_strange_version_is_answered(client: Client, kind: str, version: str) -> None:
    response = client.get("/metrics", headers={"accept": f"{kind};version={version}"})

    assert response.status_code == 200


class Collector:
    """Of an application: what it yields is its own affair."""

    def __init__(self, *families: Any) -> None:
        self.families = families

    def describe(self) -> list[Any]:
        return []

    def collect(self) -> Any:
        for family in self.families:
            if isinstance(family, Exception):
                raise family
            yield family


def test_collectors_that_break_cost_their_own_metrics(client: Client) -> None:
    unwritable = Metric("unwritable", "Has no number.", "gauge")
    unwritable.add_sample("unwritable", {}, "seven")  # type: ignore[arg-type]
    collectors = [
        Collector(RuntimeError("it broke")),
        Collector("no family at all"),
        Collector(unwritable),
        Collector(CounterMetricFamily("http_repeated_queries", "Ours already.", value=5)),
        Collector(CounterMetricFamily("fine", "Fine.", value=7)),
    ]
    for collector in collectors:
        prometheus_client.REGISTRY.register(collector)
    try:
        for accept in ("text/plain", "application/openmetrics-text; version=1.0.0"):
            text = client.get("/metrics", headers={"accept": accept}).content.decode()
            parser = openmetrics if "openmetrics" in accept else prometheus
            families = [family.name for family in parser.text_string_to_metric_families(text)]

            assert "fine_total 7.0" in text
            assert "unwritable" not in families
            assert families.count("http_repeated_queries") == 1
    finally:
        for collector in collectors:
            prometheus_client.REGISTRY.unregister(collector)


def test_an_exemplar_leads_to_the_trace(client: Client, log_lines: Lines) -> None:
    client.get("/hello/exemplar/")

    text = client.get(
        "/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"}
    ).content.decode()
    assert f'trace_id="{request_line(log_lines)["trace_id"]}"' in text
