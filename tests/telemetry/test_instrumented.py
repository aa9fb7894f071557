"""A server under ``opentelemetry-instrument``: the spans are theirs, everything else is ours."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.servers import Server, gunicorn, poll
from tests.conftest import samples
from tests.telemetry.receiver import Receiver

pytestmark = pytest.mark.servers


@pytest.fixture
def server(receiver: Receiver, servers_database: str) -> Iterator[Server]:
    command = gunicorn("sync", settings="tests/telemetry/site/gunicorn.conf.py")
    started = Server(
        lambda port: [
            str(Path(sys.executable).parent / "opentelemetry-instrument"),
            str(Path(sys.executable).parent / "gunicorn"),
            *command(port)[3:],
        ],
        {
            "DATABASE_URL": servers_database,
            "DJANGO_SETTINGS_MODULE": "tests.telemetry.site.settings",
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        },
    )
    yield started
    started.stop()


def test_their_spans_our_ids_lines_and_metrics(server: Server, receiver: Receiver) -> None:
    answer = server.get("/query/", headers={"X-Correlation-ID": "chosen-1"})

    line = server.line_of("chosen-1")
    assert answer.headers["X-Correlation-ID"] == "chosen-1"
    assert (line["status"], line["db_queries"]) == (200, 1)

    def of_the_trace() -> list[str]:
        found = [span for span in receiver.spans if span.trace_id.hex() == line["trace_id"]]
        return sorted(span.name for span in found)

    poll(lambda: len(of_the_trace()) >= 2, 20, "no spans came")
    assert of_the_trace() == ["GET query/", "SELECT"]
    labels = {"method": "GET", "endpoint": "/query/", "status": "200"}
    assert samples(server.scrape())["http_requests_total", frozenset(labels.items())] == 1


def test_an_idle_worker_exports_nothing(server: Server, receiver: Receiver) -> None:
    """An export is a call of ``requests`` too: of one that made a span there would be no end."""
    server.get("/hello/")
    poll(lambda: receiver.spans != [], 20, "no spans came")
    time.sleep(0.5)
    before = [span.name for span in receiver.spans]

    # Twenty times the delay of the export.
    time.sleep(2)

    assert [span.name for span in receiver.spans] == before
    assert not [name for name in before if name.startswith("POST")]
