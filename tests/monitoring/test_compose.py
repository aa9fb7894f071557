"""The compose files, resolved by the compose plugin itself and held against code and files.

No container is started here; ``tests/containers`` runs them.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from config.environment import VARIABLES as PROJECT_VARIABLES
from monitoring.render import HERE
from monitoring.tools.build import PROGRAMS, find
from telemetry.settings import VARIABLES as TELEMETRY_VARIABLES
from tools.local.layout import ROOT

FILES = {"whole": ROOT / "docker-compose.yml", "stack": HERE / "docker-compose.yml"}
SECRETS = {"POSTGRES_PASSWORD": "p", "DJANGO_SECRET_KEY": "k"}


def resolved(name: str, environment: dict[str, str] | None = None) -> dict[str, Any]:
    program = find("docker-compose")
    if program is None:
        pytest.skip("not built: docker-compose (make tools)")
    result = subprocess.run(
        [program, "-f", FILES[name], "config", "--format", "json"],
        env={"PATH": os.environ["PATH"], "HOME": "/", **(environment or SECRETS)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def services(name: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = resolved(name)["services"]
    return found


@pytest.mark.parametrize("name", FILES)
def test_every_mounted_path_exists(name: str) -> None:
    mounts = [
        Path(volume["source"])
        for service in services(name).values()
        for volume in service.get("volumes", [])
        if volume["type"] == "bind"
    ]

    assert mounts
    assert [path for path in mounts if not path.exists()] == []


@pytest.mark.parametrize("name", FILES)
def test_every_port_is_on_loopback(name: str) -> None:
    ports = [port for service in services(name).values() for port in service.get("ports", [])]

    assert {port["host_ip"] for port in ports} == {"127.0.0.1"}


def test_the_ports_are_those_of_the_contract() -> None:
    published = {
        (service, int(port["published"]))
        for service, definition in services("whole").items()
        for port in definition.get("ports", [])
    }

    assert published == {
        ("api", 8080),
        ("api", 8000),
        ("prometheus", 9090),
        ("alertmanager", 9093),
        ("grafana", 3001),
        ("jaeger", 16686),
        ("jaeger", 4317),
        ("jaeger", 4318),
        ("jaeger", 6831),
    }


@pytest.mark.parametrize("name", FILES)
def test_every_image_is_pinned_and_of_the_version_that_is_built(name: str) -> None:
    built = {program.tool: program.release for program in PROGRAMS}
    for service, definition in services(name).items():
        if "build" in definition:
            continue
        tag = definition["image"].partition(":")[2]
        # PostgreSQL's releases have two numbers, all others three.
        numbers = r"\d+\.\d+" if service == "postgres" else r"\d+\.\d+\.\d+"
        assert re.fullmatch(rf"v?{numbers}(-alpine)?", tag), (service, tag)
        if service in built:
            assert tag.removeprefix("v") == built[service]


@pytest.mark.parametrize("name", FILES)
def test_every_service_has_a_memory_limit_and_a_health_check(name: str) -> None:
    for service, definition in services(name).items():
        assert definition.get("mem_limit"), service
        assert service in {"migrate", "jaeger-volume"} or definition["healthcheck"]["test"], service


@pytest.mark.parametrize("name", FILES)
def test_jaeger_is_not_root_and_takes_less_memory_than_it_has(name: str) -> None:
    found = services(name)
    jaeger = found["jaeger"]
    (volume,) = (v for v in jaeger["volumes"] if v["target"] == "/badger")

    assert jaeger["user"] == "10001:10001"
    assert jaeger["depends_on"]["jaeger-volume"]["condition"] == "service_completed_successfully"
    assert [v["source"] for v in found["jaeger-volume"]["volumes"]] == [volume["source"]]
    text = (HERE / "jaeger/config.yaml").read_text()
    (limit,) = re.findall(r"limit_mib: \$\{env:JAEGER_MEMORY_LIMIT_MIB:-(\d+)\}", text)
    # Beside Go's heap there are Badger's mapped files.
    assert int(limit) * 1024**2 < 0.75 * int(jaeger["mem_limit"])


def test_the_probe_logs_in_as_the_account_that_is_made_for_it() -> None:
    found = resolved("whole", SECRETS | {"LOGIN_PROBE_TOKEN": "t" * 40})["services"]

    for name in ("LOGIN_PROBE_TOKEN", "LOGIN_PROBE_USERNAME"):
        values = {found[service]["environment"][name] for service in ("api", "migrate", "probe")}
        assert len(values) == 1, name
    assert "probe_account" in " ".join(found["migrate"]["command"])
    assert found["probe"]["environment"]["PROBE_TARGETS"] == "http://api:8080"


def test_the_probes_variables_are_those_that_it_reads() -> None:
    read = set(re.findall(r'"((?:PROBE|LOGIN_PROBE)_[A-Z_]+)"', (HERE / "probe.py").read_text()))

    assert set(services("stack")["probe"]["environment"]) <= read


def test_the_apis_variables_are_those_that_the_code_reads() -> None:
    known = {variable.name for variable in (*PROJECT_VARIABLES, *TELEMETRY_VARIABLES)}

    assert set(services("whole")["api"]["environment"]) <= known


def test_jaegers_variables_are_those_that_its_configuration_reads() -> None:
    read = set(re.findall(r"\$\{env:(\w+)", (HERE / "jaeger/config.yaml").read_text()))

    assert set(services("stack")["jaeger"]["environment"]) <= read


def test_how_long_spans_are_kept_can_be_chosen() -> None:
    def kept(**variables: str) -> str | None:
        found = resolved("whole", SECRETS | variables)["services"]["jaeger"]["environment"]
        value: str | None = found.get("JAEGER_SPANS_TTL")
        return value

    assert kept(JAEGER_SPANS_TTL="24h") == "24h"
    assert kept() is None, "an empty one would hide the default"


@pytest.mark.parametrize(
    ("service", "folder"),
    [
        ("prometheus", "/prometheus"),
        ("alertmanager", "/alertmanager"),
        ("jaeger", "/badger"),
        ("grafana", "/var/lib/grafana"),
        ("postgres", "/var/lib/postgresql"),
    ],
)
def test_what_is_kept_is_on_a_volume(service: str, folder: str) -> None:
    volumes = {v["target"]: v for v in services("whole")[service]["volumes"]}

    assert volumes[folder]["type"] == "volume"
    assert volumes[folder]["source"] == f"{service}-data"


@pytest.mark.parametrize("missing", SECRETS)
def test_a_missing_secret_stops_the_start_by_its_name(missing: str) -> None:
    rest = {name: value for name, value in SECRETS.items() if name != missing}

    with pytest.raises(AssertionError, match=missing):
        resolved("whole", rest)


def test_prometheus_of_the_whole_system_looks_for_its_own_containers() -> None:
    volumes = services("whole")["prometheus"]["volumes"]

    sources = [v["source"] for v in volumes if v["target"] == "/etc/prometheus/targets"]
    assert [Path(source).name for source in sources] == ["compose"]


def test_our_own_image_does_not_run_as_root() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()

    users = [line.split()[1] for line in lines if line.startswith("USER")]
    assert users == ["10001"]


def test_the_image_copies_what_exists_and_is_not_ignored() -> None:
    copied = [
        line.split()[1]
        for line in (ROOT / "Dockerfile").read_text().splitlines()
        if line.startswith("COPY") and "--from" not in line
    ]
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line[0] == "!"}

    for path in copied:
        assert (ROOT / path).exists()
        assert path in allowed


def test_the_source_of_spans_reaches_the_container_and_its_packages_are_in_the_image() -> None:
    environment = services("whole")["api"]["environment"]
    installed = (ROOT / "requirements/base.txt").read_text()

    assert environment["TELEMETRY_SPANS"] == "own"
    assert environment["DJANGO_STRUCTLOG"] == "0"
    for package in (
        "django-prometheus",
        "django-structlog",
        "opentelemetry-instrumentation-django",
        "opentelemetry-instrumentation-psycopg",
    ):
        assert f"\n{package}==" in installed


@pytest.mark.parametrize("name", FILES)
def test_every_container_is_locked_down_and_its_log_bounded(name: str) -> None:
    for service, definition in services(name).items():
        assert definition["read_only"] is True, service
        assert definition["cap_drop"] == ["ALL"], service
        assert definition["security_opt"] == ["no-new-privileges:true"], service
        assert 0 < definition["pids_limit"] <= 256, service
        assert int(definition["mem_limit"]) > 0, service
        assert definition["logging"]["options"].keys() == {"max-size", "max-file"}, service


@pytest.mark.parametrize("name", FILES)
def test_only_those_have_rights_who_give_files_away(name: str) -> None:
    rights = {
        service: set(definition["cap_add"])
        for service, definition in services(name).items()
        if "cap_add" in definition
    }

    assert rights.pop("jaeger-volume") == {"CHOWN", "DAC_READ_SEARCH"}
    rights.pop("postgres", None)
    assert rights == {}
    assert services(name)["jaeger"]["user"] == "10001:10001"
