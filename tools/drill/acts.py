"""What is done to the system: signals, broken networks, the demo's switch. No metric is written."""

from __future__ import annotations

import contextlib
import http.server
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import requests

from telemetry import processes
from testing.postgres import free_port
from tools.drill.fault import Act
from tools.drill.field import Field, poll
from tools.drill.series import Series, scraped
from tools.local.parts import Part

#: Clients that fill a log, fewer than an instance has threads.
_FILLING = 4
#: As many answers in a row from an empty pool: with two workers, both are.
_EMPTY_ANSWERS = 8

# Requests


def send(path: str, *, times: int = 1, both: bool = True) -> Act:
    """Requests side by side, so that slow ones do not make each other wait; in turns to ``both``
    instances, so that threads are left for the scrape."""

    def act(it: Field) -> None:
        with ThreadPoolExecutor(times) as pool:
            list(pool.map(lambda n: it.get(path, second=both and n % 2 == 1), range(times)))

    return act


# Instances and their workers


def all_down(it: Field) -> None:
    _kill(it.api)
    _kill(it.second)


def all_up(it: Field) -> None:
    first_up(it)
    one_up(it)


def first_up(it: Field) -> None:
    api = _part(it.api)
    api.start()
    if not api.wait_until_ready(30):
        raise RuntimeError(f"the first instance did not start: {api.last_words()}")


def one_down(it: Field) -> None:
    _kill(it.second)


def one_up(it: Field) -> None:
    it.second = it.start_second()


def token_wanted(it: Field) -> None:
    """An instance is taken out, and put back with a token that Prometheus does not have."""
    it.point_prometheus_at(it.instance())
    address = it.instance(second=True)
    poll(lambda: address not in it.scraped(), 30, lambda: f"Prometheus still scrapes {address}")
    one_down(it)
    it.second = it.start_second(METRICS_TOKEN="drill-" + "0" * 32)
    it.point_prometheus_at(it.instance(), address)
    poll(lambda: address in it.scraped(), 30, lambda: f"Prometheus does not know of {address}")


def token_gone(it: Field) -> None:
    one_down(it)
    one_up(it)


def one_hangs_and_comes_back(it: Field) -> None:
    """The second instance takes connections and answers none, until a scrape of it fails."""
    # A scrape fails when its time is over, at most one interval after it began.
    patience = 2 * it.scrape + 10
    _signal_second(it, signal.SIGSTOP)
    try:
        poll(lambda: _health(it) == "down", patience, lambda: "its scrape does not fail")
    finally:
        _signal_second(it, signal.SIGCONT)
    poll(lambda: _health(it) == "up", patience, lambda: "its scrape is not answered again")


def one_hangs(times: int) -> Act:
    """Again and again, never as long as an alert about a target that is down waits."""

    def act(it: Field) -> None:
        for _ in range(times):
            one_hangs_and_comes_back(it)

    return act


def one_is_replaced(it: Field) -> None:
    """No scrape fails."""
    it.replace_second()


def one_is_replaced_again_and_again(times: int) -> Act:
    def act(it: Field) -> None:
        for _ in range(times):
            one_is_replaced(it)
            time.sleep(2 * it.scrape)

    return act


def one_without_database(it: Field) -> None:
    """The second instance is started again with the address of a database that is not there."""
    it.replace_second(DATABASE_URL=f"postgresql://nobody@127.0.0.1:{free_port()}/expenses")


def pause_log_reader(it: Field) -> None:
    """The second instance logs into a pipe, whose reader stands still (SIGSTOP). Returns when the
    pipe and what the service keeps for it are full."""
    it.log_reader = it.read_second_log()
    it.log_reader.send_signal(signal.SIGSTOP)
    dropped = Series("telemetry_log_lines_dropped_total")
    path = it.url(f"/{'x' * 3500}", second=True)
    deadline = time.monotonic() + 120

    def fill(_number: int) -> None:
        with requests.Session() as session:
            while time.monotonic() < deadline and not found.is_set():
                session.get(path, timeout=15)

    found = threading.Event()
    with ThreadPoolExecutor(_FILLING) as pool:
        filling = [pool.submit(fill, number) for number in range(_FILLING)]
        try:
            poll(
                lambda: dropped.value(scraped(it.url("/metrics", second=True))) > 0,
                120,
                lambda: "no line of the log is dropped",
            )
        finally:
            found.set()
        for each in filling:
            each.result()


def resume_log_reader(it: Field) -> None:
    if it.log_reader is not None:
        it.log_reader.send_signal(signal.SIGCONT)


def _signal_second(it: Field, number: signal.Signals) -> None:
    process = _part(it.second).process
    assert process is not None
    for pid in (process.pid, *processes.children(process.pid)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _health(it: Field) -> str:
    """What Prometheus' last scrape of the second instance says."""
    targets = it.prometheus("targets", state="active")["activeTargets"]
    second = it.instance(second=True)
    return next((t["health"] for t in targets if t["labels"]["instance"] == second), "unknown")


def kill_worker(it: Field) -> None:
    for worker in it.workers()[:1]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)


def leak_memory(above: float) -> Act:
    """100 MB at a time until a worker holds more than ``above`` bytes."""

    def act(it: Field) -> None:
        def enough() -> bool:
            sizes = [found.resident_bytes for pid in it.workers() if (found := processes.stat(pid))]
            if max(sizes, default=0) > above:
                return True
            it.get("/api/v1/demo/faults/memory/?mb=100")
            return False

        poll(enough, 60, lambda: "no worker grew")

    return act


def new_workers(it: Field) -> None:
    it.new_workers()
    # The old ones answer what they began.
    time.sleep(1)


# The database


def database_away(it: Field) -> None:
    assert it.database is not None
    it.database.stop()


def database_back(it: Field) -> None:
    assert it.database is not None
    it.database.start()


def refuse_database(it: Field) -> None:
    assert it.database_proxy is not None
    it.database_proxy.refuse()


def accept_database(it: Field) -> None:
    assert it.database_proxy is not None
    it.database_proxy.accept()


def delay_database(seconds: float) -> Act:
    def act(it: Field) -> None:
        assert it.database_proxy is not None
        it.database_proxy.delay = seconds

    return act


def leak_connections(it: Field) -> None:
    """Until nothing is left, whichever of the two workers a request reaches."""
    empty = 0
    for _ in range(60):
        held = requests.get(it.url("/api/v1/demo/faults/connections/"), timeout=10).json()
        empty = empty + 1 if held.get("left") == 0 else 0
        if empty == _EMPTY_ANSWERS:
            return
    raise RuntimeError("the pools of the first instance do not get empty")


def freeze_database(it: Field) -> None:
    """No process of PostgreSQL runs; its connections stay open (SIGSTOP)."""
    _signal_database(it, signal.SIGSTOP)


def thaw_database(it: Field) -> None:
    _signal_database(it, signal.SIGCONT)


def _signal_database(it: Field, number: signal.Signals) -> None:
    assert it.database is not None
    assert it.database.process is not None
    server = it.database.process.pid
    for pid in (server, *processes.children(server)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def lock_table(it: Field) -> None:
    """As a migration or a careless session does: its transaction stays open."""
    assert it.database is not None
    it.locking = psycopg.connect(it.database.url())
    it.locking.execute("LOCK TABLE expenses_expense IN ACCESS EXCLUSIVE MODE")


def unlock_table(it: Field) -> None:
    if it.locking is not None:
        it.locking.close()


def spoil_tokens(it: Field) -> None:
    """As after a wrong migration: no token that a client has is known."""
    it.sql("UPDATE knox_authtoken SET digest = reverse(digest)")


def refuse_new_tokens(it: Field) -> None:
    """Tokens that there are go on, none can be added: nobody new can log in."""
    it.sql("ALTER TABLE knox_authtoken ADD CONSTRAINT drill CHECK (false) NOT VALID")


def take_new_tokens(it: Field) -> None:
    it.sql("ALTER TABLE knox_authtoken DROP CONSTRAINT drill")


def rename_table_away(it: Field) -> None:
    it.sql("ALTER TABLE knox_authtoken RENAME TO knox_authtoken_gone")


def rename_table_back(it: Field) -> None:
    it.sql("ALTER TABLE knox_authtoken_gone RENAME TO knox_authtoken")


# The service of exchange rates


def delay_rates(seconds: float) -> Act:
    def act(it: Field) -> None:
        assert it.rates_proxy is not None
        it.rates_proxy.delay = seconds

    return act


def rates_away(it: Field) -> None:
    assert it.rates_proxy is not None
    it.rates_proxy.refuse()


def rates_back(it: Field) -> None:
    assert it.rates_proxy is not None
    it.rates_proxy.accept()


def rates_away_for_calls(times: int) -> Act:
    """The service goes, and so many calls at once find it gone."""

    def act(it: Field) -> None:
        rates_away(it)
        send("/api/v1/demo/rates/USD/", times=times)(it)

    return act


# The monitoring stack


def signal_part(name: str, number: signal.Signals) -> Act:
    def act(it: Field) -> None:
        assert it.stack is not None
        process = it.stack.parts[name].process
        assert process is not None
        process.send_signal(number)

    return act


def end_part(name: str) -> Act:
    def act(it: Field) -> None:
        assert it.stack is not None
        it.stack.end(name)

    return act


def part_again(name: str) -> Act:
    def act(it: Field) -> None:
        assert it.stack is not None
        it.stack.again(name)

    return act


def kill_part(name: str) -> Act:
    def act(it: Field) -> None:
        assert it.stack is not None
        _kill(it.stack.parts[name])
        it.stack.end(name)

    return act


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


def garbage(it: Field) -> None:
    """A third target; returns when Prometheus has read its file of targets anew."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", free_port()), _Garbage)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    it.garbage = server
    address = f"127.0.0.1:{server.server_address[1]}"
    it.point_prometheus_at(it.instance(), it.instance(second=True), address)
    poll(lambda: address in it.scraped(), 30, lambda: f"Prometheus does not know of {address}")


def no_garbage(it: Field) -> None:
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


def bad_rule(it: Field) -> None:
    """Returns when Prometheus has loaded it."""
    (it.layout.folder / "config/prometheus/rules/drill.yml").write_text(_BAD_RULE)
    signal_part("prometheus", signal.SIGHUP)(it)
    poll(
        lambda: any(group["name"] == "drill" for group in it.prometheus("rules")["groups"]),
        30,
        lambda: "Prometheus did not load the rule",
    )


def no_bad_rule(it: Field) -> None:
    (it.layout.folder / "config/prometheus/rules/drill.yml").unlink()
    signal_part("prometheus", signal.SIGHUP)(it)


def _part(part: Part | None) -> Part:
    assert part is not None
    return part


def _kill(part: Part | None) -> None:
    """A stop in order takes seconds, in which it still answers."""
    _part(part).stop(0)
