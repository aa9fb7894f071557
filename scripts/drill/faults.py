"""Each fault: how it is made and ended, which alert must come, and which others may."""

from __future__ import annotations

import http.server
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from scripts.drill.field import Field
from scripts.postgres import free_port
from telemetry import processes

Act = Callable[[Field], None]

#: An error budget burns with whatever fails or is slow for all.
BUDGETS = frozenset({"ErrorBudgetFastBurn", "ErrorBudgetSlowBurn"})
#: What follows from requests that fail or wait because of the database.
NO_DATABASE = BUDGETS | {
    "HighErrorRate",
    "EndpointFailing",
    "ConnectionPoolExhausted",
    "HighResponseTime",
    "EndpointSlow",
    "SlowDatabase",
}
SLOW = BUDGETS | {"HighResponseTime", "EndpointSlow"}
FAILING = BUDGETS | {"HighErrorRate", "EndpointFailing"}


def nothing(_field: Field) -> None:
    """There is nothing to do."""


@dataclass(frozen=True)
class Fault:
    name: str
    #: What is done to the system, for the report.
    what: str
    alert: str
    begin: Act = nothing
    #: Called again and again while the fault is on, every ``every`` seconds of full-length time.
    keep: Act | None = None
    every: float = 30.0
    end: Act = nothing
    #: Alerts that may fire as well.
    companions: frozenset[str] = frozenset()
    #: Seconds, not compressed, until the system notices, and why.
    lag: float = 0.0
    because: str = ""
    #: Seconds of full-length time until the window is full enough to cross the threshold.
    reach: float = 0.0
    labels: dict[str, str] = field(default_factory=dict)
    #: False where Alertmanager cannot be told: the alert is looked for in Prometheus.
    told: bool = True
    #: Most notifications of the alert's group while it fires: the first, and one for those that
    #: joined later.
    notifications: int = 2


def _all_down(it: Field) -> None:
    assert it.api is not None
    assert it.second is not None
    it.api.stop()
    it.second.stop()


def _all_up(it: Field) -> None:
    assert it.api is not None
    it.api.start()
    it.second = it.start_second()
    assert it.api.wait_until_ready(30), it.api.last_words()


def _one_down(it: Field) -> None:
    assert it.second is not None
    it.second.stop()


def _one_up(it: Field) -> None:
    it.second = it.start_second()


def _token_wanted(it: Field) -> None:
    _one_down(it)
    it.second = it.start_second(METRICS_TOKEN="drill-" + "0" * 32)


def _token_gone(it: Field) -> None:
    _one_down(it)
    _one_up(it)


def _database_away(it: Field) -> None:
    assert it.database is not None
    it.database.stop()


def _database_back(it: Field) -> None:
    assert it.database is not None
    it.database.start()


def _refuse(it: Field) -> None:
    assert it.database_proxy is not None
    it.database_proxy.refuse()


def _accept(it: Field) -> None:
    assert it.database_proxy is not None
    it.database_proxy.accept()


def _delay_database(seconds: float) -> Act:
    def act(it: Field) -> None:
        assert it.database_proxy is not None
        it.database_proxy.delay = seconds

    return act


def _delay_rates(seconds: float) -> Act:
    def act(it: Field) -> None:
        assert it.rates_proxy is not None
        it.rates_proxy.delay = seconds

    return act


def _rates_away(it: Field) -> None:
    assert it.rates_proxy is not None
    it.rates_proxy.refuse()


def _rates_back(it: Field) -> None:
    assert it.rates_proxy is not None
    it.rates_proxy.accept()


def _leak_connections(it: Field) -> None:
    # Two workers of eight connections: whichever a request reaches.
    for _ in range(8):
        it.get("/api/v1/demo/faults/connections/", timeout=3)


def _leak_memory(it: Field) -> None:
    sizes = [found.resident_bytes for pid in it.workers() if (found := processes.stat(pid))]
    if max(sizes, default=0) < 560e6:
        it.get("/api/v1/demo/faults/memory/?mb=100")


def _send(path: str, *, times: int = 1) -> Act:
    """Requests side by side, so that slow ones do not make each other wait."""

    def act(it: Field) -> None:
        with ThreadPoolExecutor(times) as pool:
            list(pool.map(lambda _: it.get(path), range(times)))

    return act


def _kill_worker(it: Field) -> None:
    for worker in it.workers()[:1]:
        os.kill(worker, signal.SIGKILL)


def _rename_away(it: Field) -> None:
    it.sql("ALTER TABLE knox_authtoken RENAME TO knox_authtoken_gone")


def _rename_back(it: Field) -> None:
    it.sql("ALTER TABLE knox_authtoken_gone RENAME TO knox_authtoken")


def _jaeger_away(it: Field) -> None:
    # Killed: a stop in order takes seconds, in which it still answers.
    _signal("jaeger", signal.SIGKILL)(it)
    assert it.stack is not None
    it.stack.end("jaeger")


def _jaeger_back(it: Field) -> None:
    assert it.stack is not None
    it.stack.again("jaeger")


def _signal(part: str, number: signal.Signals) -> Act:
    def act(it: Field) -> None:
        assert it.stack is not None
        process = it.stack.parts[part].process
        assert process is not None
        process.send_signal(number)

    return act


def _alertmanager_away(it: Field) -> None:
    assert it.stack is not None
    it.stack.end("alertmanager")


def _alertmanager_back(it: Field) -> None:
    assert it.stack is not None
    it.stack.again("alertmanager")


class _Garbage(http.server.BaseHTTPRequestHandler):
    """Says that it is well, and sends what are no metrics."""

    def do_GET(self) -> None:
        # No zero byte at its beginning: Prometheus' parser takes that for the end of the answer.
        body = b"<html><body>" + bytes(range(255, 0, -1)) * 8
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  its name there
        """Nobody reads it."""


def _garbage(it: Field) -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", free_port()), _Garbage)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    it.garbage = server
    address = f"127.0.0.1:{server.server_address[1]}"
    it.point_prometheus_at(it.instance(), it.instance(second=True), address)


def _no_garbage(it: Field) -> None:
    it.point_prometheus_at(it.instance(), it.instance(second=True))
    assert it.garbage is not None
    it.garbage.shutdown()
    it.garbage.server_close()


#: Right for promtool, wrong for the data: every series of ``up`` matches every other.
_BAD_RULE = """groups:
- name: drill
  rules:
  - {record: "drill:up:sum", expr: "up * on() up"}
"""


def _bad_rule(it: Field) -> None:
    (it.layout.folder / "config/prometheus/rules/drill.yml").write_text(_BAD_RULE)
    _signal("prometheus", signal.SIGHUP)(it)


def _no_bad_rule(it: Field) -> None:
    (it.layout.folder / "config/prometheus/rules/drill.yml").unlink()
    _signal("prometheus", signal.SIGHUP)(it)


def _new_workers(it: Field) -> None:
    it.new_workers()
    # The old ones answer what they began.
    time.sleep(1)


_POOL = "the pool of connections gives up after 3 s"

FAULTS: tuple[Fault, ...] = (
    Fault(
        "database-stopped",
        "PostgreSQL is shut down",
        "DatabaseConnectionErrors",
        _database_away,
        end=_database_back,
        companions=NO_DATABASE,
        lag=6,
        because=_POOL,
    ),
    Fault(
        "database-refusing",
        "the network refuses connections to PostgreSQL",
        "DatabaseConnectionErrors",
        _refuse,
        end=_accept,
        companions=NO_DATABASE,
        lag=6,
        because=_POOL,
    ),
    Fault(
        "database-slow",
        "each answer of PostgreSQL comes 0.8 s late",
        "SlowDatabase",
        _delay_database(0.8),
        end=_delay_database(0),
        companions=NO_DATABASE | {"DatabaseConnectionErrors"},
        lag=4,
        because="a request of several statements ends after seconds",
    ),
    Fault(
        "pool-exhausted",
        "code takes connections of the pool and never gives them back",
        "ConnectionPoolExhausted",
        _leak_connections,
        _leak_connections,
        end=_new_workers,
        companions=NO_DATABASE | {"DatabaseConnectionErrors"},
        lag=14,
        because="it takes some requests to leak, and the gauges are refreshed every 5 s",
    ),
    Fault(
        "endpoint-errors",
        "one endpoint raises an exception",
        "EndpointFailing",
        keep=_send("/api/v1/demo/faults/error/"),
        every=30,
        companions=FAILING,
        reach=150,
        labels={"endpoint": "/api/v1/demo/faults/error/", "method": "GET"},
    ),
    Fault(
        "all-errors",
        "a table is gone, as after a wrong migration: every request with a token fails",
        "HighErrorRate",
        _rename_away,
        end=_rename_back,
        companions=FAILING,
    ),
    Fault(
        "endpoint-slow",
        "one endpoint takes 4 s",
        "EndpointSlow",
        keep=_send("/api/v1/demo/faults/slow/?seconds=4", times=6),
        every=30,
        companions=SLOW,
        lag=16,
        because="its requests end after 4 s, and what came first shows by the second sample",
        labels={"endpoint": "/api/v1/demo/faults/slow/", "method": "GET"},
    ),
    Fault(
        "memory-growth",
        "workers leak memory, 100 MB at a time",
        "HighMemoryUsage",
        _leak_memory,
        _leak_memory,
        every=15,
        end=_new_workers,
        lag=20,
        because="memory is measured every 15 s, and it takes some requests to leak",
    ),
    Fault(
        "worker-killed",
        "a worker is killed again and again",
        "WorkerRestartLoop",
        keep=_kill_worker,
        every=25,
        companions=FAILING,
        reach=360,
    ),
    Fault(
        "api-stopped",
        "both instances are stopped",
        "AllInstancesDown",
        _all_down,
        end=_all_up,
        lag=6,
        because="an instance first answers what it began",
        companions=frozenset({"APIEndpointDown"}),
    ),
    Fault(
        "instance-stopped",
        "one of two instances is stopped",
        "APIEndpointDown",
        _one_down,
        end=_one_up,
    ),
    Fault(
        "repeated-queries",
        "an endpoint runs one statement 20 times (N+1)",
        "RepeatedQueries",
        keep=_send("/api/v1/demo/faults/queries/?n=20"),
        every=20,
        reach=360,
        labels={"endpoint": "/api/v1/demo/faults/queries/"},
    ),
    Fault(
        "upstream-down",
        "the service of exchange rates is away",
        "UpstreamFailing",
        _rates_away,
        _send("/api/v1/demo/rates/USD/"),
        every=30,
        end=_rates_back,
        companions=FAILING,
        reach=150,
        labels={"host": "127.0.0.1"},
    ),
    Fault(
        "upstream-slow",
        "the service of exchange rates answers after 3 s",
        "UpstreamSlow",
        _delay_rates(3),
        _send("/api/v1/demo/rates/USD/", times=6),
        every=30,
        end=_delay_rates(0),
        companions=SLOW,
        lag=14,
        because="its answers come after 3 s, and what came first shows by the second sample",
        labels={"host": "127.0.0.1"},
    ),
    Fault(
        "jaeger-down",
        "Jaeger is killed",
        "JaegerDown",
        _jaeger_away,
        end=_jaeger_back,
        companions=frozenset({"TelemetrySpansDropped"}),
    ),
    Fault(
        "jaeger-hanging",
        "Jaeger takes connections and never answers (SIGSTOP)",
        "JaegerDown",
        _signal("jaeger", signal.SIGSTOP),
        end=_signal("jaeger", signal.SIGCONT),
        companions=frozenset({"TelemetrySpansDropped"}),
    ),
    Fault(
        "scrape-refused",
        "one instance wants a token that Prometheus does not have",
        "APIEndpointDown",
        _token_wanted,
        end=_token_gone,
        lag=6,
        because="the instance is started anew",
    ),
    Fault(
        "scrape-garbage",
        "a target answers 200 with bytes that are no metrics",
        "APIEndpointDown",
        _garbage,
        end=_no_garbage,
        lag=6,
        because="Prometheus reads its file of targets anew",
    ),
    Fault(
        "alertmanager-down",
        "Alertmanager is stopped: Prometheus must say so",
        "AlertmanagerDown",
        _alertmanager_away,
        end=_alertmanager_back,
        companions=frozenset({"NotificationsFailing"}),
        told=False,
    ),
    Fault(
        "rules-failing",
        "a rule file is loaded whose rule fails at evaluation",
        "RuleEvaluationFailing",
        _bad_rule,
        end=_no_bad_rule,
        labels={},
    ),
    Fault(
        "series-flood",
        "a release counts with a label that takes ever new values",
        "TelemetrySeriesDropped",
        keep=_send("/api/v1/demo/faults/series/?n=2000"),
        every=15,
        reach=90,
        labels={"metric": "demo_visits_total"},
    ),
)
BY_NAME = {fault.name: fault for fault in FAULTS}
