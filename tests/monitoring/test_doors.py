"""Each locked door of production, with real processes: shut without credentials, open with them.

Prometheus, Alertmanager, Jaeger and the proxy run with what `make production-secrets` makes; the
API runs under gunicorn. Grafana does not run here.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from monitoring.production.make import make
from monitoring.render import HERE, render
from monitoring.tools.build import find
from testing.postgres import free_port
from testing.servers import Server, gunicorn, make_database, poll
from tests.monitoring.test_probe import probing
from tools.local import stack
from tools.local.layout import PORTS, Layout
from tools.local.parts import Part

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]

PROGRAMS = ("prometheus", "alertmanager", "jaeger", "caddy", "promtool", "amtool")
SPEED = 30


@dataclass
class Production:
    """The running tools and what opens their doors."""

    folder: Path
    variables: dict[str, str]
    layout: Layout
    api: Server
    proxy: dict[str, int]

    @property
    def person(self) -> tuple[str, str]:
        return ("ops", self.variables["OPS_PASSWORD"])

    def door(self, name: str, path: str = "/", scheme: str = "https") -> str:
        port = {
            "prometheus": self.layout.port("PROMETHEUS_SERVER_PORT"),
            "alertmanager": self.layout.port("ALERTMANAGER_PORT"),
            **self.proxy,
        }[name]
        return f"{scheme}://localhost:{port}{path}"

    def get(self, name: str, path: str = "/", **options: Any) -> requests.Response:
        options.setdefault("verify", str(self.folder / "ca.crt"))
        return requests.get(self.door(name, path), timeout=10, **options)

    def query(self, expression: str) -> list[dict[str, Any]]:
        path = "/api/v1/query"
        answer = self.get("prometheus", path, auth=self.person, params={"query": expression})
        found: list[dict[str, Any]] = answer.json()["data"]["result"]
        return found


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Production]:
    missing = [name for name in PROGRAMS if find(name) is None]
    if missing:
        pytest.skip(f"not built: {', '.join(missing)} (make tools)")
    base = tmp_path_factory.mktemp("doors")
    folder = base / "secrets"
    variables = make(folder)
    layout = Layout(base / "run", {name: free_port() for name in PORTS})
    layout.make()
    api = Server(
        gunicorn(),
        {
            "DATABASE_URL": make_database("doors", "config.settings"),
            "METRICS_TOKEN": variables["METRICS_TOKEN"],
            "FORWARDED_ALLOW_IPS": "127.0.0.0/8",
            "DJANGO_HTTPS": "1",
        },
    )
    parts: list[Part] = []
    try:
        render(
            layout.folder / "config",
            api=f"127.0.0.1:{api.port}",
            alertmanager=layout.address("ALERTMANAGER_PORT"),
            jaeger_metrics=layout.address("JAEGER_METRICS_PORT"),
            prometheus=layout.address("PROMETHEUS_SERVER_PORT"),
            notifications=layout.address("NOTIFICATIONS_PORT"),
            speed=SPEED,
            secrets=folder / "prometheus",
        )
        config = layout.folder / "config"
        ports = {name: free_port() for name in ("api", "grafana", "jaeger", "health")}
        parts = [
            stack.jaeger(layout),
            stack.notifications(layout),
            stack.alertmanager(layout, config / "alertmanager/alertmanager.yml"),
            stack.prometheus(layout, config / "prometheus/prometheus.yml", SPEED),
            proxy(layout, folder / "proxy", ports, api),
        ]
        for part in parts[2:4]:
            part.command.append(f"--web.config.file={folder / part.name / 'web.yml'}")
        running = Production(folder, variables, layout, api, ports)
        for part in parts:
            part.start()
        for part in (*parts[:2], parts[-1]):
            assert part.wait_until_ready(30), part.last_words()
        for name in ("prometheus", "alertmanager"):
            poll(lambda name=name: ready(running, name), 30, f"{name} did not answer")
        yield running
    finally:
        for part in parts:
            part.stop()
        api.stop()


def proxy(layout: Layout, secrets: Path, ports: dict[str, int], api: Server) -> Part:
    program = find("caddy")
    command = [str(program), "run", "--config", str(HERE / "production/Caddyfile")]
    environment = {
        "HOME": str(layout.folder),
        "PROXY_SECRETS": str(secrets),
        "PROXY_API_PORT": str(ports["api"]),
        "PROXY_GRAFANA_PORT": str(ports["grafana"]),
        "PROXY_JAEGER_PORT": str(ports["jaeger"]),
        "PROXY_HEALTH_PORT": str(ports["health"]),
        "PROXY_API": f"127.0.0.1:{api.port}",
        "PROXY_API_HEALTH_PORT": str(api.metrics_port),
        "PROXY_JAEGER": layout.address("JAEGER_QUERY_PORT"),
    }
    health = f"http://127.0.0.1:{ports['health']}/health"
    arguments = [*command, "--adapter", "caddyfile"]
    return Part("caddy", arguments, layout.logs / "caddy.log", health, environment)


def ready(running: Production, name: str) -> bool:
    with suppress(requests.ConnectionError):
        return running.get(name, "/-/ready", auth=running.person).status_code == 200
    return False


DOORS = [
    ("prometheus", "/api/v1/targets"),
    ("prometheus", "/metrics"),
    ("prometheus", "/-/ready"),
    ("alertmanager", "/api/v2/alerts"),
    ("alertmanager", "/metrics"),
    ("jaeger", "/api/services"),
]


@pytest.mark.parametrize(("door", "path"), DOORS)
def test_a_door_is_shut_without_credentials_and_open_with_them(
    production: Production, door: str, path: str
) -> None:
    assert production.get(door, path).status_code == 401
    assert production.get(door, path, auth=("ops", "wrong")).status_code == 401
    assert production.get(door, path, auth=("nobody", "")).status_code == 401
    assert production.get(door, path, auth=production.person).status_code == 200


@pytest.mark.parametrize("door", ["prometheus", "alertmanager", "jaeger", "api", "grafana"])
def test_a_door_speaks_nothing_but_tls(production: Production, door: str) -> None:
    plain = requests.get(production.door(door, scheme="http"), timeout=10)

    assert plain.status_code == 400
    assert "HTTPS server" in plain.text


@pytest.mark.parametrize("door", ["prometheus", "alertmanager", "jaeger", "api", "grafana"])
def test_a_doors_certificate_is_of_our_authority_alone(production: Production, door: str) -> None:
    with pytest.raises(requests.exceptions.SSLError):
        production.get(door, verify=True)

    assert production.get(door).status_code < 600


def test_metrics_want_the_token_on_every_way_to_them(production: Production) -> None:
    bearer = {"Authorization": f"Bearer {production.variables['METRICS_TOKEN']}"}
    ways = [
        (production.api.url("/metrics"), True),
        (f"http://127.0.0.1:{production.api.metrics_port}/metrics", True),
        (production.door("api", "/metrics"), str(production.folder / "ca.crt")),
    ]
    for url, verify in ways:
        assert requests.get(url, verify=verify, timeout=10).status_code == 401
        wrong = {"Authorization": "Bearer wrong"}
        assert requests.get(url, headers=wrong, verify=verify, timeout=10).status_code == 401
        assert requests.get(url, headers=bearer, verify=verify, timeout=10).status_code == 200


def test_the_api_behind_the_proxy_wants_its_own_credentials(production: Production) -> None:
    assert production.get("api", "/health/ready").status_code == 200
    assert production.get("api", "/api/v1/expenses/").status_code == 401


def test_the_probe_comes_through_the_proxy_and_checks_its_certificate(
    production: Production, tmp_path: Path
) -> None:
    make(tmp_path / "another")
    target = f"api:8080=https://127.0.0.1:{production.proxy['api']}"

    def readiness(authority: Path, host: str = "localhost") -> float:
        variables = {"PROBE_CA_FILE": str(authority), "PROBE_HOST": host, "LOGIN_PROBE_TOKEN": ""}
        with probing(target, **variables) as scrape:
            return scrape()["probe_success"]["readiness"]

    assert readiness(production.folder / "ca.crt") == 1
    assert readiness(tmp_path / "another/ca.crt") == 0
    assert readiness(production.folder / "ca.crt", "somebody.example") == 0


def test_every_target_is_up_with_the_credentials(production: Production) -> None:
    jobs = {"alertmanager", "expense-tracker-api", "jaeger", "prometheus"}

    poll(
        lambda: {found["metric"]["job"] for found in production.query("up == 1")} == jobs,
        30,
        "not every target is up",
    )


def test_an_alert_gets_through_the_locked_door(production: Production) -> None:
    def names() -> set[str]:
        answer = production.get("alertmanager", "/api/v2/alerts", auth=production.person)
        return {alert["labels"]["alertname"] for alert in answer.json()}

    poll(lambda: "Watchdog" in names(), 30, "Alertmanager was not told")


def test_the_containers_health_checks_work(production: Production, tmp_path: Path) -> None:
    questions = {
        "promtool": ("check", "ready", "--url={}", "prometheus"),
        "amtool": ("cluster", "show", "--alertmanager.url={}", "alertmanager"),
    }
    for program, (*arguments, url, door) in questions.items():
        # The container has the folder elsewhere.
        inside = {"prometheus": "/etc/prometheus/secrets", "alertmanager": "/secrets"}[door]
        client = (production.folder / door / "client.yml").read_text()
        file = tmp_path / f"{door}.yml"
        file.write_text(client.replace(inside, str(production.folder / door)))
        command = [
            *(str(find(program)), *arguments, url.format(production.door(door, ""))),
            f"--http.config.file={file}",
        ]
        result = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        assert result.returncode == 0, result.stderr


def test_the_api_learns_from_the_proxy_that_the_caller_came_over_tls(
    production: Production,
) -> None:
    page = production.get("api", "/admin/login/")
    direct = production.api.get("/admin/login/", allow_redirects=False)

    assert page.status_code == 200
    assert page.headers["Strict-Transport-Security"].startswith("max-age=31536000")
    assert "Secure" in page.headers["Set-Cookie"]
    assert direct.status_code == 301
    assert direct.headers["Location"].startswith("https://")
