"""Prometheus, Alertmanager and Jaeger, from the configuration in ``monitoring/``."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from monitoring.render import Links, LocalLinks, render
from monitoring.tools.build import PROGRAMS, go_problem, link
from tools.local import credentials, ports
from tools.local.layout import ROOT, Layout
from tools.local.parts import Part, end_with_parent

Say = Callable[[str], None]

#: Seconds between two words about a build that goes on.
_PROGRESS_EVERY = 30.0

#: Part, the tool of monitoring/tools it belongs to, and the ports it must have for itself.
_NEEDS = {
    "notifications": ("NOTIFICATIONS_PORT",),
    "probe": ("PROBE_PORT",),
    "alertmanager": ("ALERTMANAGER_PORT",),
    "prometheus": ("PROMETHEUS_SERVER_PORT",),
    "jaeger": (
        "JAEGER_QUERY_PORT",
        "JAEGER_QUERY_GRPC_PORT",
        "JAEGER_OTLP_GRPC_PORT",
        "JAEGER_OTLP_HTTP_PORT",
        "JAEGER_METRICS_PORT",
        "JAEGER_SPAN_METRICS_PORT",
        "JAEGER_HEALTH_PORT",
    ),
}


#: Parts of Python alone, which nobody has to build.
_SCRIPTS = {"notifications", "probe"}


class Stack:
    """Starts what is built, has the rest built beside, and lets it join; none can stop the API."""

    def __init__(
        self, layout: Layout, say: Say, *, speed: float = 1.0, local_links: bool = False
    ) -> None:
        """With ``local_links`` the links of alerts lead to what runs here, without Grafana."""
        self.layout = layout
        self.links = Links(jaeger=layout.url("JAEGER_QUERY_PORT"))
        if local_links:
            self.links = LocalLinks(
                jaeger=layout.url("JAEGER_QUERY_PORT"),
                alertmanager=layout.url("ALERTMANAGER_PORT"),
                runbooks=str(ROOT / "monitoring/runbooks"),
            )
        self.say = say
        self.speed = speed
        self.parts: dict[str, Part] = {}
        #: Why a part is not there, in a line.
        self.missing: dict[str, str] = {}
        self._builds: dict[str, tuple[subprocess.Popen[bytes], float, float]] = {}
        #: Parts that answered once.
        self.ready: set[str] = set()

    def start(self) -> None:
        render(
            self.layout.folder / "config",
            api=self.layout.address("API_PORT"),
            alertmanager=self.layout.address("ALERTMANAGER_PORT"),
            jaeger_metrics=self.layout.address("JAEGER_METRICS_PORT"),
            span_metrics=self.layout.address("JAEGER_SPAN_METRICS_PORT"),
            probe=self.layout.address("PROBE_PORT"),
            prometheus=self.layout.address("PROMETHEUS_SERVER_PORT"),
            notifications=self.layout.address("NOTIFICATIONS_PORT"),
            links=self.links,
            speed=self.speed,
        )
        # amtool and promtool are found where the runbooks look for them.
        link(self.layout.folder / "bin")
        for name in _NEEDS:
            if name in _SCRIPTS or _path(name):
                self._try(name)
            elif problem := go_problem():
                self.missing[name] = (
                    f"not built ({problem}); with a container engine: "
                    f"docker compose -f monitoring/docker-compose.yml up -d {name}"
                )
            else:
                self._build(name)

    def _build(self, name: str) -> None:
        log = self.layout.logs / f"build-{name}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, str(ROOT / "monitoring/tools/build.py"), name],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=end_with_parent,  # noqa: PLW1509  no thread runs in the supervisor
            )
        now = time.monotonic()
        self._builds[name] = (process, now, now)
        self.missing[name] = f"being built from source, it joins when it is ready ({log})"

    def end(self, name: str) -> None:
        """Stop a part, as if it had gone."""
        self.ready.discard(name)
        part = self.parts.pop(name, None)
        if part is not None:
            part.stop()

    def again(self, name: str) -> None:
        """Start a part that was ended."""
        self._try(name)

    def _try(self, name: str) -> None:
        """Start a part; whatever goes wrong with it, the API does not notice."""
        try:
            self._start(name)
        except OSError as error:
            self.missing[name] = f"could not be started: {error}"
            self.say(f"{name} could not be started: {error}")

    def _start(self, name: str) -> None:
        self.missing.pop(name, None)
        for port in _NEEDS[name]:
            number = self.layout.port(port)
            if not ports.is_free(number):
                self.missing[name] = (
                    f"port {number} is taken by {ports.holder(number)}; "
                    f"free it or choose another, make up {port}=…"
                )
                return
        part = self.parts[name] = self._part(name)
        part.start()

    def _part(self, name: str) -> Part:
        config = self.layout.folder / "config"
        if name == "notifications":
            return notifications(self.layout)
        if name == "probe":
            return probe(self.layout)
        if name == "jaeger":
            return jaeger(self.layout)
        if name == "prometheus":
            return prometheus(self.layout, config / "prometheus" / "prometheus.yml", self.speed)
        return alertmanager(self.layout, config / "alertmanager" / "alertmanager.yml")

    def tick(self) -> None:
        """Look after builds and parts; called again and again."""
        for name in list(self._builds):
            self._watch_build(name)
        for name, part in list(self.parts.items()):
            if not part.running():
                self.say(f"{name} ended: {part.last_words()}  (log: {part.log})")
                self.missing[name] = "ended, see its log"
                del self.parts[name]
            elif name not in self.ready and part.answers():
                self.ready.add(name)
                self.say(f"{name} answers: {part.ready}")

    def _watch_build(self, name: str) -> None:
        process, began, spoke = self._builds[name]
        now = time.monotonic()
        if process.poll() is None:
            if now - spoke > _PROGRESS_EVERY:
                self._builds[name] = (process, began, now)
                self.say(f"{name} is being built, {now - began:.0f} s so far")
            return
        del self._builds[name]
        if process.returncode == 0 and _path(name):
            self.say(f"{name} is built ({now - began:.0f} s)")
            link(self.layout.folder / "bin")
            self._try(name)
        else:
            log = self.layout.logs / f"build-{name}.log"
            self.missing[name] = f"was not built, see {log}; make tools tries again"
            self.say(f"{name} was not built, see {log}")

    def stop(self) -> None:
        for process, _, _ in self._builds.values():
            # The whole session: Go's compilers would go on after the script that called them.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(10)
        self._builds.clear()
        for part in self.parts.values():
            part.stop()


def prometheus(layout: Layout, configuration: Path, speed: float = 1.0) -> Part:
    """Prometheus on the layout's port, with its data in the state folder."""
    data = layout.folder / "prometheus"
    data.mkdir(exist_ok=True)
    command = [
        str(_path("prometheus")),
        f"--config.file={configuration}",
        f"--storage.tsdb.path={data}",
        f"--web.listen-address={layout.address('PROMETHEUS_SERVER_PORT')}",
        "--enable-feature=exemplar-storage",
        # For the snapshots of `make backup`. Whoever may call it may delete series: loopback alone.
        "--web.enable-admin-api",
        # Where an alert's expression leads to: there is no page of Prometheus' own.
        f"--web.external-url={layout.url('NOTIFICATIONS_PORT', '/prometheus')}",
        "--web.route-prefix=/",
        # How often it tells Alertmanager of an alert again; a minute unless time is compressed.
        f"--rules.alert.resend-delay={60_000 / speed:.0f}ms",
    ]
    ready = layout.url("PROMETHEUS_SERVER_PORT", "/-/ready")
    return Part(
        "prometheus",
        command,
        layout.logs / "prometheus.log",
        ready,
        {"PROMETHEUS_REPLICA": "0"},
    )


def alertmanager(layout: Layout, configuration: Path) -> Part:
    """Alertmanager on the layout's port, with its data in the state folder."""
    data = layout.folder / "alertmanager"
    data.mkdir(exist_ok=True)
    command = [
        str(_path("alertmanager")),
        f"--config.file={configuration}",
        f"--storage.path={data}",
        f"--web.listen-address={layout.address('ALERTMANAGER_PORT')}",
        # In links, in place of the machine's name, on which nobody listens.
        f"--web.external-url={layout.url('ALERTMANAGER_PORT')}",
        # One Alertmanager alone: no gossip, no second port.
        "--cluster.listen-address=",
    ]
    ready = layout.url("ALERTMANAGER_PORT", "/-/ready")
    return Part("alertmanager", command, layout.logs / "alertmanager.log", ready)


def notifications(layout: Layout) -> Part:
    """The receiver that prints what would have been sent, into its log."""
    command = [
        *(sys.executable, str(ROOT / "monitoring/notifications.py")),
        *("--port", str(layout.port("NOTIFICATIONS_PORT"))),
        *("--file", str(layout.logs / "notifications.jsonl")),
        *("--prometheus", layout.url("PROMETHEUS_SERVER_PORT")),
    ]
    ready = layout.url("NOTIFICATIONS_PORT")
    return Part("notifications", command, layout.logs / "notifications.log", ready)


def probe(layout: Layout) -> Part:
    """The probe of readiness and login, of the layout's API."""
    token = os.environ.get("LOGIN_PROBE_TOKEN") or credentials.read(layout.secrets).get(
        "LOGIN_PROBE_TOKEN", ""
    )
    environment = {
        "PROBE_TARGETS": layout.url("API_PORT"),
        "LOGIN_PROBE_TOKEN": token,
    }
    command = [
        *(sys.executable, str(ROOT / "monitoring/probe.py")),
        *("--port", str(layout.port("PROBE_PORT"))),
    ]
    ready = layout.url("PROBE_PORT")
    return Part("probe", command, layout.logs / "probe.log", ready, environment)


def jaeger(layout: Layout) -> Part:
    """Jaeger on the layout's ports, with its data in the state folder."""
    data = layout.folder / "jaeger"
    data.mkdir(exist_ok=True)
    environment = {name: str(layout.port(name)) for name in _NEEDS["jaeger"]}
    environment |= {
        "JAEGER_LISTEN_HOST": "127.0.0.1",
        "JAEGER_AGENT_UDP_PORT": str(layout.port("JAEGER_AGENT_PORT")),
        "JAEGER_DATA": str(data),
        "JAEGER_MAINTENANCE_INTERVAL": "15s",
        "JAEGER_PROMETHEUS_URL": layout.url("PROMETHEUS_SERVER_PORT"),
    }
    command = [str(_path("jaeger")), "--config", str(ROOT / "monitoring/jaeger/config.yaml")]
    ready = layout.url("JAEGER_QUERY_PORT", "/api/services")
    return Part("jaeger", command, layout.logs / "jaeger.log", ready, environment)


def _path(name: str) -> str | None:
    """The program, if it is there with all that its tool builds beside it."""
    path = next(program for program in PROGRAMS if program.name == name).path()
    return str(path) if path else None
