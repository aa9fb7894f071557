"""uWSGI with several processes.

Skipped where uWSGI is not installed: ``pip install uwsgi`` builds it, with a C compiler; ``UWSGI``
names the program where it is not on the path.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
import requests

from testing.servers import Server, poll
from tests.conftest import samples
from tests.telemetry.receiver import Receiver

UWSGI = os.environ.get("UWSGI") or shutil.which("uwsgi")

pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(UWSGI is None, reason="uWSGI is not installed"),
]


def start(options: list[str], database: str, receiver: Receiver) -> Server:
    def command(port: int) -> list[str]:
        return [
            *(str(UWSGI), "--http-socket", f"127.0.0.1:{port}", "--module", "config.wsgi"),
            *("--virtualenv", str(Path(sys.executable).parent.parent)),
            *("--master", "--processes", "2", "--die-on-term", *options),
        ]

    return Server(
        command,
        {
            "DATABASE_URL": database,
            "DJANGO_SETTINGS_MODULE": "tests.telemetry.site.settings",
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
        },
    )


@pytest.mark.parametrize("options", ["--lazy-apps", "--py-call-osafterfork"])
def test_requests_are_counted_over_all_workers(
    options: str, servers_database: str, receiver: Receiver
) -> None:
    server = start([options, "--enable-threads"], servers_database, receiver)

    def value(name: str, **labels: str) -> float:
        return samples(server.scrape()).get((name, frozenset(labels.items())), 0.0)

    def reloaded(starts: int) -> bool:
        with suppress(requests.ConnectionError):
            server.get("/process/?seconds=0.05")
            return value("process_worker_starts_total") == starts and value("process_workers") == 2
        return False

    try:
        answering: set[str] = set()

        def both_answered() -> bool:
            answering.add(server.get("/process/?seconds=0.05").text)
            server.get("/process/?seconds=0")
            return value("process_workers") == 2

        poll(both_answered, 30, "not every worker began")
        for _ in range(40):
            server.get("/hello/")

        labels = {"method": "GET", "endpoint": "/hello/", "status": "200"}
        assert {value("http_requests_total", **labels) for _ in range(6)} == {40}
        assert value("process_worker_starts_total") == 2
        assert value("process_cpu_seconds_total") > 0.1

        # A reload ends no worker unasked, and loses nothing; a killed worker is another thing.
        os.kill(server.process.pid, signal.SIGHUP)
        poll(lambda: reloaded(4), 30, "the workers did not begin again")
        assert {value("http_requests_total", **labels) for _ in range(6)} == {40}
        assert value("process_worker_crashes_total") == 0
        os.kill(server.workers()[0], signal.SIGKILL)
        poll(lambda: reloaded(5), 30, "the killed worker did not begin again")
        poll(lambda: value("process_worker_crashes_total") == 1, 10, "nobody counted the crash")
        assert {value("http_requests_total", **labels) for _ in range(6)} == {40}
        assert "telemetry.W003" not in server.log.read_text()
    finally:
        server.stop()
    poll(
        lambda: Counter(span.name for span in receiver.spans)["GET /hello/"] == 40,
        10,
        "spans are missing",
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [(["--enable-threads"], "lazy-apps"), (["--lazy-apps"], "enable-threads")],
    ids=["forked", "without threads"],
)
def test_what_is_set_up_wrongly_is_a_warning(
    options: list[str], said: str, servers_database: str, receiver: Receiver
) -> None:
    server = start(options, servers_database, receiver)
    try:
        server.get("/hello/")
        poll(
            lambda: any(
                "telemetry.W003" in line and said in line
                for line in server.log.read_text().splitlines()
            ),
            10,
            "there was no warning",
        )
    finally:
        server.stop()
