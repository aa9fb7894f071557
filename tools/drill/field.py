"""The system that faults are made in: two instances, proxies before what they need, traffic."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import psycopg
import requests
import yaml

from telemetry import processes
from testing.postgres import free_port
from testing.proxy import Proxy
from tools.drill.load import Load
from tools.local.layout import PORTS, Layout
from tools.local.parts import Part
from tools.local.system import Say, System, service

#: Variables of the caller that must not reach the system under test.
_NOT_OURS = (
    "DATABASE_URL",
    "DJANGO_SECRET_KEY",
    "DJANGO_SETTINGS_MODULE",
    "METRICS_TOKEN",
    "PROMETHEUS_PORT",
    "PROMETHEUS_MULTIPROC_DIR",
    "OTEL_TRACES_EXPORTER",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
)
_RATE = 12.0
_EXPENSES, _USERS = 300, 3
#: Seconds without a failed request before a fault.
_STRETCH = 2.0
#: Scrapes before a fault: rates need a few samples before something changes.
_SAMPLES = 8


class Field(System):
    """Started once; ``renew`` gives each fault a service and a monitoring stack without a past."""

    expenses, users = _EXPENSES, _USERS

    def __init__(self, folder: Path, factor: float, say: Say) -> None:
        for name in _NOT_OURS:
            os.environ.pop(name, None)
        ports = {name: free_port() for name in PORTS}
        self.rates_behind = free_port()
        layout = Layout(folder, ports)
        super().__init__(layout, say, speed=factor)
        self.second_layout = Layout(folder, ports | {"API_PORT": free_port(), "PROMETHEUS_PORT": 0})
        self.second: Part | None = None
        self.database_proxy: Proxy | None = None
        self.rates_proxy: Proxy | None = None
        self.load: Load | None = None
        self.session = requests.Session()
        self.garbage: ThreadingHTTPServer | None = None
        #: A session that holds a lock.
        self.locking: psycopg.Connection[Any] | None = None
        #: Reads the second instance's log from a pipe.
        self.log_reader: subprocess.Popen[bytes] | None = None

    # The start

    def start(self) -> None:
        """Raises StartError when the service cannot start; ``stop`` cleans up."""
        self.start_service()
        self.second = self.start_second()
        self.start_stack()
        self._await_stack()
        self.load = Load([self.url(), self.url(second=True)], self.secrets["DEMO_PASSWORD"], _RATE)

    def address_for_service(self, address: str) -> str:
        """The database through a proxy."""
        parts = urlsplit(address)
        assert parts.port is not None
        self.database_proxy = Proxy(free_port(), parts.port)
        netloc = parts.netloc.replace(f":{parts.port}", f":{self.database_proxy.port}")
        self.proxied = parts._replace(netloc=netloc).geturl()
        return self.proxied

    def layout_of_rates(self) -> Layout:
        """The second service on a port of its own, a proxy where the API looks for it."""
        self.rates_proxy = Proxy(self.layout.port("RATES_PORT"), self.rates_behind)
        return Layout(self.layout.folder, self.layout.ports | {"RATES_PORT": self.rates_behind})

    def start_second(self, **variables: str) -> Part:
        """The second instance, with variables of its own."""
        part = self._second(**variables)
        part.start()
        if not part.wait_until_ready(30):
            raise RuntimeError(f"the second instance did not start: {part.last_words()}")
        return part

    def replace_second(self, output: IO[bytes] | None = None, **variables: str) -> None:
        """Another master on the second instance's port, and then the end of the old one, so that no
        scrape fails. ``output`` is where it logs."""
        old, new = self.second, self._second(**variables)
        assert old is not None
        if output is None:
            new.start()
        else:
            new.run(output)
        process = new.process
        assert process is not None
        # Either may answer a request now: its workers say that it is there.
        poll(
            lambda: len(processes.children(process.pid)) >= 2,
            60,
            lambda: f"a second master did not start: {new.last_words()}",
        )
        self.second = new
        old.stop()

    def read_second_log(self) -> subprocess.Popen[bytes]:
        """The second instance again, with a pipe for its log; the process that reads it."""
        reader = subprocess.Popen(
            ["tee", "--append", str(self.layout.logs / "api-2.log")],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert reader.stdin is not None
        with reader.stdin as pipe:
            self.replace_second(pipe)
        return reader

    def _second(self, **variables: str) -> Part:
        part = service(self.second_layout, self.proxied, self.secrets)
        part.name, part.log = "api-2", self.layout.logs / "api-2.log"
        options = {"PROMETHEUS_PORT": "0", "GUNICORN_CMD_ARGS": "--reuse-port"}
        part.environment |= {**options, **variables}
        return part

    def stop(self) -> None:
        if self.load is not None:
            self.load.stop()
        if self.second is not None:
            self.second.stop()
        if self.log_reader is not None:
            self.log_reader.kill()
            self.log_reader.wait(5)
        super().stop()

    # The monitoring stack

    def renew(self) -> None:
        """Restart both instances, Prometheus and Alertmanager without data; wait until all is well.

        The former fault must leave nothing behind: no series that it touched, no worker that still
        answers its last requests with errors, no alert that waits for its time.
        """
        assert self.stack is not None
        self._restart_instances()
        self._await_good_answers()
        self._renew("alertmanager")
        self._renew("prometheus")
        self._await_stack()
        poll(self._is_well, 60 + 60 / self.speed, lambda: f"the system is not well: {self._ills()}")
        # Prometheus needs seconds to find its targets, which is long in compressed time: what it
        # said meanwhile must not be in a group of Alertmanager.
        self._renew("alertmanager")
        self._await_stack()
        # Prometheus says again what fires once a minute.
        poll(
            lambda: self.told().keys() == {"Watchdog"},
            30 + 90 / self.speed,
            lambda: f"told {self.told().keys()}",
        )
        self._await_calm()

    def _restart_instances(self) -> None:
        """New processes, whose counters begin at 0."""
        assert self.load is not None
        assert self.api is not None
        assert self.second is not None
        with self.load.paused():
            for part in (self.api, self.second):
                part.stop()
            self.second = self._second()
            for part in (self.api, self.second):
                part.start()
            for part in (self.api, self.second):
                if not part.wait_until_ready(60):
                    raise RuntimeError(f"{part.name} did not start again: {part.last_words()}")

    def _await_good_answers(self) -> None:
        """Return after a stretch of traffic in which no request failed."""
        assert self.load is not None
        seen = self.load.seen
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            seen.clear()
            time.sleep(_STRETCH)
            if seen and not any(_is_bad(answer) for answer in seen):
                return
        raise RuntimeError(f"requests fail before the fault: {dict(seen)}")

    def _await_calm(self) -> None:
        """Return when nothing fired or waited for its time while rates got their first samples."""
        deadline = time.monotonic() + 60 + 3 * _SAMPLES * self.scrape
        while True:
            ills = self._ills()
            ends = time.monotonic() + _SAMPLES * self.scrape
            while time.monotonic() < ends:
                time.sleep(self.scrape / 2)
                ills += self._ills()
            if not ills:
                return
            if time.monotonic() > deadline:
                raise RuntimeError(f"the system does not stay well: {sorted(set(ills))}")

    def _renew(self, name: str) -> None:
        assert self.stack is not None
        self.stack.end(name)
        shutil.rmtree(self.layout.folder / name, ignore_errors=True)
        self.stack.again(name)

    def _await_stack(self) -> None:
        stack = self.stack
        assert stack is not None
        self.point_prometheus_at(self.instance(), self.instance(second=True))

        def ready() -> bool:
            stack.tick()
            return not stack.missing and stack.ready == set(stack.parts)

        poll(
            ready,
            60,
            lambda: f"the stack did not answer: {stack.missing or stack.ready}",
        )

    def point_prometheus_at(self, *instances: str) -> None:
        """Which instances of the API Prometheus scrapes: it watches the file."""
        file = self.layout.folder / "config/prometheus/targets/api.yml"
        unfinished = file.with_suffix(".unfinished")
        unfinished.write_text(yaml.safe_dump([{"targets": list(instances)}]))
        unfinished.replace(file)

    def _ills(self) -> list[str]:
        targets = self.prometheus("targets", state="active")["activeTargets"]
        ills = [f"{t['scrapeUrl']}: {t['lastError']}" for t in targets if t["health"] != "up"]
        if len([t for t in targets if t["labels"]["job"] == "expense-tracker-api"]) != 2:
            ills.append("not two instances")
        # What is pending now would fire during the fault.
        alerts = self.prometheus("alerts")["alerts"]
        names = {f"{a['labels']['alertname']} is {a['state']}" for a in alerts}
        return ills + sorted(names - {"Watchdog is firing"})

    def scraped(self) -> set[str]:
        """Addresses that Prometheus scrapes now."""
        targets = self.prometheus("targets", state="active")["activeTargets"]
        return {target["labels"]["instance"] for target in targets}

    def _is_well(self) -> bool:
        return not self._ills()

    @property
    def scrape(self) -> float:
        """Seconds between two scrapes, and between two evaluations."""
        return max(15 / self.speed, 0.5)

    # Asking and doing

    def metrics_urls(self) -> dict[str, list[str]]:
        """Where each part gives its metrics."""
        return {
            "api": [self.url("/metrics"), self.url("/metrics", second=True)],
            "prometheus": [self.layout.url("PROMETHEUS_SERVER_PORT", "/metrics")],
        }

    def url(self, path: str = "", *, second: bool = False) -> str:
        return (self.second_layout if second else self.layout).url("API_PORT", path)

    def instance(self, *, second: bool = False) -> str:
        return (self.second_layout if second else self.layout).address("API_PORT")

    def get(self, path: str, *, second: bool = False, timeout: float = 15) -> int:
        """Status of a request, 0 when there was no answer. Each on a connection of its own."""
        try:
            return requests.get(self.url(path, second=second), timeout=timeout).status_code
        except requests.RequestException:
            return 0

    def prometheus(
        self, path: str, *, session: requests.Session | None = None, **query: str
    ) -> Any:
        """What Prometheus' API answers; a session of the thread's own where it is another one."""
        url = self.layout.url("PROMETHEUS_SERVER_PORT", f"/api/v1/{path}")
        answer = (session or self.session).get(url, params=query, timeout=10)
        answer.raise_for_status()
        return answer.json()["data"]

    def firing(self, session: requests.Session | None = None) -> dict[str, list[dict[str, Any]]]:
        """Prometheus' alerts that fire, by name."""
        found: dict[str, list[dict[str, Any]]] = {}
        for alert in self.prometheus("alerts", session=session)["alerts"]:
            if alert["state"] == "firing":
                found.setdefault(alert["labels"]["alertname"], []).append(alert)
        return found

    def told(self) -> dict[str, list[dict[str, Any]]]:
        """Alertmanager's alerts by name, inhibited ones included."""
        found: dict[str, list[dict[str, Any]]] = {}
        url = self.layout.url("ALERTMANAGER_PORT", "/api/v2/alerts")
        for alert in self.session.get(url, timeout=10).json():
            found.setdefault(alert["labels"]["alertname"], []).append(alert)
        return found

    def notifications(self, since: float) -> list[dict[str, Any]]:
        """What the local receiver got since a moment of ``time.time()``, Watchdog left out."""
        file = self.layout.logs / "notifications.jsonl"
        if not file.exists():
            return []
        lines = (json.loads(line) for line in file.read_text().splitlines())
        return [
            line
            for line in lines
            if line["receivedAt"] >= since and line["commonLabels"].get("alertname") != "Watchdog"
        ]

    def workers(self) -> list[int]:
        """Process ids of the first instance's workers."""
        assert self.api is not None
        assert self.api.process is not None
        return processes.children(self.api.process.pid)

    def new_workers(self) -> None:
        """Both instances replace their workers, as a deploy does."""
        for part in (self.api, self.second):
            assert part is not None
            assert part.process is not None
            part.process.send_signal(signal.SIGHUP)

    def sql(self, statement: str) -> None:
        """A statement on the database, past the proxy."""
        assert self.database is not None
        with psycopg.connect(self.database.url(), autocommit=True) as session:
            session.execute(statement)


def _is_bad(answer: str) -> bool:
    """Whether a request of the traffic failed: a status 5xx, or no answer."""
    return not answer.isdigit() or answer.startswith("5")


def poll(condition: Callable[[], Any], seconds: float, problem: Callable[[], str]) -> Any:
    """Ask until the answer is true; what cannot be asked is not true yet. Raises RuntimeError."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if found := condition():
                return found
        except requests.RequestException:
            if time.monotonic() > deadline:
                raise
        if time.monotonic() > deadline:
            raise RuntimeError(f"{problem()} (after {seconds:.0f} s)")
        time.sleep(0.05)
