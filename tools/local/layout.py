"""Where the local run keeps its things and which ports it uses; each can be changed by name."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

#: Names of environment (and make) variables, their default ports and what listens there.
PORTS: dict[str, tuple[int, str]] = {
    "API_PORT": (8080, "API, admin and docs"),
    "PROMETHEUS_PORT": (8000, "metrics-only port of the API"),
    "RATES_PORT": (8090, "the demo's second service"),
    "POSTGRES_PORT": (54329, "PostgreSQL"),
    "PROMETHEUS_SERVER_PORT": (9090, "Prometheus"),
    "ALERTMANAGER_PORT": (9093, "Alertmanager"),
    "PROBE_PORT": (9115, "probe of readiness and login"),
    "NOTIFICATIONS_PORT": (9099, "receiver that prints notifications"),
    "JAEGER_QUERY_PORT": (16686, "Jaeger's query API"),
    "JAEGER_QUERY_GRPC_PORT": (16685, "Jaeger's query API over gRPC"),
    "JAEGER_OTLP_GRPC_PORT": (4317, "Jaeger, OTLP over gRPC"),
    "JAEGER_OTLP_HTTP_PORT": (4318, "Jaeger, OTLP over HTTP"),
    "JAEGER_AGENT_PORT": (6831, "Jaeger agent, UDP"),
    "JAEGER_METRICS_PORT": (8888, "Jaeger's own metrics"),
    "JAEGER_SPAN_METRICS_PORT": (8889, "metrics that Jaeger makes of spans"),
    "JAEGER_HEALTH_PORT": (13133, "Jaeger's health check"),
}


@dataclass(frozen=True)
class Layout:
    """The state folder and the ports of one local run."""

    folder: Path
    ports: dict[str, int] = field(default_factory=dict)

    def port(self, name: str) -> int:
        return self.ports.get(name, PORTS[name][0])

    def address(self, name: str) -> str:
        return f"127.0.0.1:{self.port(name)}"

    def url(self, name: str, path: str = "") -> str:
        return f"http://{self.address(name)}{path}"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def secrets(self) -> Path:
        return self.folder / "secrets.env"

    @property
    def lock(self) -> Path:
        """Locked while a run lives; holds the process id of its supervisor."""
        return self.folder / "run" / "up.lock"

    @property
    def state(self) -> Path:
        """What runs where, written by the supervisor for ``make status``."""
        return self.folder / "run" / "state.json"

    def make(self) -> None:
        for folder in (self.folder, self.logs, self.folder / "run"):
            folder.mkdir(parents=True, exist_ok=True)


def from_environment() -> Layout:
    """The layout that the variables ask for. Ends the program for a port that is none."""
    ports = {}
    for name in PORTS:
        text = os.environ.get(name, "").strip()
        if not text:
            continue
        if not text.isdigit() or not 0 <= int(text) <= 65535:
            sys.exit(f"{name} must be a port number, not {text!r}")
        ports[name] = int(text)
    folder = Path(os.environ.get("LOCAL_DIR") or ROOT / ".local")
    return Layout(folder.resolve(), ports)
