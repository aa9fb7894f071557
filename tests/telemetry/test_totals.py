"""Four places count the same requests, while workers are recycled and one is killed.

A request is counted in this order: PostgreSQL commits its row, the metrics, the log line, and at
last the client has its answer. A request in the middle of that when its worker is killed is counted
by the first ones only: at most as many as the worker had threads.

``SOAK_REQUESTS=20000`` is the full size (``make soak``).
"""

from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
import requests

from telemetry import processes
from testing.servers import Server, gunicorn
from tests.conftest import samples

pytestmark = [pytest.mark.servers, pytest.mark.timeout(900)]

REQUESTS = int(os.environ.get("SOAK_REQUESTS", "2000"))
CLIENTS = 16
THREADS = 4
ROUTE = {"method": "GET", "endpoint": "/access/", "status": "200"}


@pytest.fixture
def server(servers_database: str) -> Server:
    with psycopg.connect(servers_database, autocommit=True) as session:
        session.execute("DROP TABLE IF EXISTS access")
        session.execute("CREATE TABLE access (id bigserial PRIMARY KEY)")
    command = gunicorn("gthread", workers=4)
    return Server(
        lambda port: [
            *command(port),
            *("--max-requests", str(max(REQUESTS // 20, 50)), "--max-requests-jitter", "20"),
        ],
        {
            "DATABASE_URL": servers_database,
            "DJANGO_SETTINGS_MODULE": "tests.telemetry.site.settings",
        },
    )


def test_client_metrics_log_and_database_agree(server: Server, servers_database: str) -> None:
    answered = 0
    lost = 0
    counting = threading.Lock()

    def ask(_number: int) -> None:
        nonlocal answered, lost
        try:
            # A connection of its own: one that a recycled worker closed would be asked twice.
            status = requests.get(server.url("/access/"), timeout=30).status_code
        except requests.RequestException:
            status = 0
        with counting:
            answered += status == 200
            lost += status != 200

    def kill_one() -> None:
        while answered < REQUESTS // 2:
            time.sleep(0.01)
        os.kill(processes.children(server.process.pid)[0], signal.SIGKILL)

    killer = threading.Thread(target=kill_one)
    killer.start()
    try:
        with ThreadPoolExecutor(CLIENTS) as clients:
            list(clients.map(ask, range(REQUESTS)))
        killer.join()
        scraped = samples(server.scrape())
    finally:
        server.stop()

    measured = scraped["http_requests_total", frozenset(ROUTE.items())]
    queries = {"operation": "INSERT", "table": "access"}
    inserted = scraped["database_queries_total", frozenset(queries.items())]
    durations = {"method": "GET", "endpoint": "/access/"}
    timed = scraped["http_request_duration_seconds_count", frozenset(durations.items())]
    written = sum(line.get("endpoint") == "/access/" for line in server.log_lines())
    with psycopg.connect(servers_database) as session:
        rows = session.execute("SELECT count(*) FROM access").fetchall()[0][0]

    print(
        f"{REQUESTS} requests: {answered} answered, {lost} lost; {written} lines, "
        f"{measured:.0f} in http_requests_total, {rows} rows"
    )
    assert answered + lost == REQUESTS
    # A killed worker had accepted connections that no thread had looked at yet: those are lost and
    # counted nowhere. What was begun is at most one request a thread.
    assert lost <= CLIENTS
    assert rows - answered <= THREADS
    assert answered <= written <= measured <= rows <= answered + lost
    assert measured == timed == inserted


def test_the_files_of_the_dead_do_not_pile_up(server: Server) -> None:
    try:
        for _ in range(300):
            requests.get(server.url("/access/"), timeout=30)
        server.scrape()
        left = [file.name for file in server.folder.glob("metrics/instance-*/process-*")]
    finally:
        server.stop()

    # The master, four workers, and perhaps a new one and an old one: two files each.
    assert len(left) <= 2 * 7
