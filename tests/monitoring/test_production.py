"""What `make production-secrets` makes, and the overlay that uses it. No container is started."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitoring.production import certificates, passwords
from monitoring.production.make import SECRETS, WrongValueError, make
from monitoring.render import HERE
from monitoring.tools.build import PROGRAMS, find
from tools.local.layout import ROOT


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("production") / "secrets"
    make(folder, host="expenses.example", address="0.0.0.0")
    return folder


def tool(name: str, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    program = find(name)
    if program is None:
        pytest.skip(f"not built: {name} (make tools)")
    return subprocess.run(
        [program, *arguments],
        env={"PATH": os.environ["PATH"], "HOME": "/"},
        cwd=cwd or ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def variables(folder: Path) -> dict[str, str]:
    lines = (folder / "compose.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_nobody_else_may_enter_the_folder(made: Path) -> None:
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    for name in ("compose.env", "ca.key"):
        assert stat.S_IMODE((made / name).stat().st_mode) == 0o600


def test_what_a_container_reads_may_be_read_by_its_user_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        make(tmp_path / "secrets")
    finally:
        os.umask(before)

    for door in ("prometheus", "alertmanager", "proxy", "grafana"):
        for path in (tmp_path / "secrets" / door).rglob("*"):
            wanted = 0o755 if path.is_dir() else 0o644
            assert stat.S_IMODE(path.stat().st_mode) == wanted, path


def test_a_second_run_changes_nothing(made: Path) -> None:
    before = contents(made)

    make(made)

    assert contents(made) == before


def test_rotation_changes_all_but_what_a_database_keeps(tmp_path: Path) -> None:
    make(tmp_path, host="expenses.example")
    old, old_files = variables(tmp_path), contents(tmp_path)

    make(tmp_path, rotate=True)

    new = variables(tmp_path)
    assert {name for name in SECRETS if new[name] != old[name]} == {
        name for name, rotates in SECRETS.items() if rotates
    }
    assert new["PRODUCTION_HOST"] == "expenses.example"
    same = {name for name, content in contents(tmp_path).items() if old_files[name] == content}
    kept = ("admin_password", "prometheus.yml", "client.yml", "rules", "targets")
    assert [name for name in same if not any(part in name for part in kept)] == []


def targets(folder: Path) -> list[str]:
    (group,) = yaml.safe_load((folder / "prometheus/targets/api.yml").read_text())
    found: list[str] = group["targets"]
    return found


def test_each_of_several_instances_is_a_target_by_its_containers_name(tmp_path: Path) -> None:
    make(tmp_path)
    assert (targets(tmp_path), variables(tmp_path)["API_INSTANCES"]) == (["api:8080"], "1")

    make(tmp_path, instances="2")

    names = [f"expense-tracker-production-api-{index}:8080" for index in (1, 2)]
    assert targets(tmp_path) == names
    assert variables(tmp_path)["API_ADDRESSES"].split() == names
    result = tool(
        *("docker-compose", "--env-file", str(tmp_path / "compose.env")),
        *("config", "--format", "json"),
    )
    services = json.loads(result.stdout)["services"]
    assert services["api"]["scale"] == 2
    assert services["proxy"]["environment"]["PROXY_API"].split() == names
    # The number is kept until another one is given.
    make(tmp_path)
    assert targets(tmp_path) == names
    make(tmp_path, instances="1")
    assert targets(tmp_path) == ["api:8080"]


def test_lines_of_ones_own_are_kept(tmp_path: Path) -> None:
    make(tmp_path)
    with (tmp_path / "compose.env").open("a") as file:
        file.write("WEB_CONCURRENCY=4\n")

    make(tmp_path)

    assert variables(tmp_path)["WEB_CONCURRENCY"] == "4"


def test_another_host_gets_certificates_of_its_name_and_keeps_the_passwords(tmp_path: Path) -> None:
    old = make(tmp_path, host="one.example")

    new = make(tmp_path, host="two.example")

    certificate = tmp_path / "proxy/server.crt"
    assert certificates.serves(certificate, ["two.example", "localhost", "127.0.0.1"])
    assert not certificates.serves(certificate, ["one.example"])
    assert all(new[name] == old[name] for name in SECRETS)


def test_a_certificate_of_ones_own_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    make(folder)
    proxy = folder / "proxy"
    certificates.openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
        *("-subj", "/CN=somebody else", "-days", "90"),
        *("-keyout", str(proxy / "server.key"), "-out", str(proxy / "server.crt")),
    )
    own = contents(proxy)

    make(folder, host="expenses.example")
    make(folder, rotate=True)

    for name in ("server.key", "server.crt"):
        assert contents(proxy)[str(proxy / name)] == own[str(proxy / name)]


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"host": "https://x"}, "PRODUCTION_HOST"),
        ({"address": "eth0"}, "PRODUCTION_ADDRESS"),
        *(
            ({"instances": number}, "PRODUCTION_INSTANCES")
            for number in ("0", "-1", "21", "two", "1.5", "²", "9" * 5000)
        ),
    ],
)
def test_a_wrong_value_is_named(tmp_path: Path, given: dict[str, str], name: str) -> None:
    with pytest.raises(WrongValueError, match=name):
        make(tmp_path, **given)


def test_a_missing_openssl_is_said_in_one_line(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "monitoring.production.make"],
        cwd=ROOT,
        env={"PATH": str(tmp_path), "PRODUCTION_DIR": str(tmp_path / "secrets")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        "production: openssl is not installed (Debian: apt install openssl)"
    ]


def test_a_hash_is_made_anew_for_another_password_only() -> None:
    known = passwords.hashed("one")

    assert passwords.hashed("one", known) == known
    assert passwords.hashed("two", known) != known


def test_no_bcrypt_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(passwords, "_crypt", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(passwords.PasswordError, match="install htpasswd"):
        passwords.hashed("one")


def test_prometheus_reads_its_derived_configuration(made: Path, tmp_path: Path) -> None:
    # As in the container: the file above the folder of secrets, with the shipped targets.
    (tmp_path / "prometheus.yml").write_text((made / "prometheus/prometheus.yml").read_text())
    (tmp_path / "secrets").symlink_to(made / "prometheus")
    (tmp_path / "rules").symlink_to(made / "prometheus/rules")
    (tmp_path / "targets").symlink_to(HERE / "prometheus/targets/compose")

    result = tool("promtool", "check", "config", str(tmp_path / "prometheus.yml"))

    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("door", ["prometheus", "alertmanager"])
def test_the_doors_lock_is_valid(made: Path, door: str) -> None:
    result = tool("promtool", "check", "web-config", str(made / door / "web.yml"))

    assert result.returncode == 0, result.stdout + result.stderr


def test_links_of_alerts_lead_to_the_host(made: Path) -> None:
    text = "".join(file.read_text() for file in (made / "prometheus/rules").glob("*.yml"))

    assert "https://expenses.example:3001/d/" in text
    assert "http://localhost" not in text


def test_the_proxys_configuration_is_valid(made: Path) -> None:
    program = find("caddy")
    if program is None:
        pytest.skip("not built: caddy (make tools)")
    result = subprocess.run(
        [program, "validate", "--config", HERE / "production/Caddyfile", "--adapter", "caddyfile"],
        env={"PROXY_SECRETS": str(made / "proxy"), "HOME": str(made.parent)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert result.returncode == 0, result.stderr


def test_grafana_goes_through_the_locked_doors(made: Path) -> None:
    sources = yaml.safe_load((made / "grafana/datasources.yml").read_text())["datasources"]
    locked = next(source for source in sources if source["uid"] == "prometheus")

    assert locked["url"] == "https://prometheus:9090"
    assert locked["secureJsonData"] == {
        "basicAuthPassword": variables(made)["STACK_PASSWORD"],
        "tlsCACert": (made / "ca.crt").read_text(),
    }


@pytest.mark.parametrize(
    ("address", "password", "starts"),
    [
        ("127.0.0.1", "admin", True),
        ("0.0.0.0", "admin", False),
        ("0.0.0.0", "", False),
        ("0.0.0.0", "something else", True),
        ("proxy", "admin", False),
    ],
)
def test_grafana_starts_with_its_default_password_on_loopback_only(
    tmp_path: Path, address: str, password: str, starts: bool
) -> None:
    secret = tmp_path / "password"
    secret.write_text(password)
    from_file = {"GF_SECURITY_ADMIN_PASSWORD__FILE": str(secret)}
    from_variable = {"GF_SECURITY_ADMIN_PASSWORD": password}

    for given in (from_file, from_variable):
        result = subprocess.run(
            ["/bin/sh", HERE / "grafana/start.sh", "started"],
            env={**given, "GRAFANA_ADDRESS": address, "GRAFANA_RUN": "/bin/echo"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (result.stdout == "started\n") is starts
        assert ("default" in result.stderr) is not starts


@pytest.fixture(scope="module")
def services(made: Path) -> dict[str, dict[str, Any]]:
    """The services of the overlay as the compose plugin resolves them."""
    result = tool(
        *("docker-compose", "--env-file", str(made / "compose.env")),
        *("config", "--format", "json"),
    )
    assert result.returncode == 0, result.stderr
    found: dict[str, dict[str, Any]] = json.loads(result.stdout)["services"]
    return found


def test_only_doors_that_ask_are_published(services: dict[str, dict[str, Any]]) -> None:
    published = {
        (name, int(port["published"]), port["host_ip"])
        for name, service in services.items()
        for port in service.get("ports", [])
    }

    assert published == {
        ("proxy", 443, "0.0.0.0"),
        ("proxy", 3001, "0.0.0.0"),
        ("proxy", 16686, "0.0.0.0"),
        ("prometheus", 9090, "0.0.0.0"),
        ("alertmanager", 9093, "0.0.0.0"),
    }


def test_every_container_is_confined(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert 0 < service["pids_limit"] <= 256, name


def test_the_probe_goes_through_the_proxy_with_the_token_of_the_api(
    services: dict[str, dict[str, Any]], made: Path
) -> None:
    probe = services["probe"]["environment"]

    assert probe["PROBE_TARGETS"] == "api:8080=https://proxy:8443"
    assert probe["PROBE_HOST"] == services["api"]["environment"]["DJANGO_ALLOWED_HOSTS"]
    given = {services[name]["environment"]["LOGIN_PROBE_TOKEN"] for name in ("api", "migrate")}
    assert given == {probe["LOGIN_PROBE_TOKEN"]} == {variables(made)["LOGIN_PROBE_TOKEN"]}
    assert len(probe["LOGIN_PROBE_TOKEN"]) >= 32


def test_every_mounted_file_is_there(services: dict[str, dict[str, Any]]) -> None:
    mounts = [
        (name, Path(volume["source"]))
        for name, service in services.items()
        for volume in service.get("volumes", [])
        if volume["type"] == "bind"
    ]

    assert [mount for mount in mounts if not mount[1].exists()] == []


def test_the_shipped_flags_are_kept_beside_those_of_the_overlay(
    services: dict[str, dict[str, Any]],
) -> None:
    shipped = yaml.safe_load((HERE / "docker-compose.yml").read_text())["services"]

    for name in ("prometheus", "alertmanager"):
        assert services[name]["command"] == shipped[name]["command"]
        assert any("--web.config.file" in flag for flag in services[name]["entrypoint"])


def test_the_proxy_is_of_the_version_that_is_built_and_the_only_one_believed(
    services: dict[str, dict[str, Any]],
) -> None:
    release = next(program.release for program in PROGRAMS if program.name == "caddy")
    address = services["proxy"]["networks"]["default"]["ipv4_address"]
    assert services["proxy"]["image"] == f"caddy:{release}"
    assert services["api"]["environment"]["FORWARDED_ALLOW_IPS"] == address


def test_the_demo_stays_out_whatever_the_environment_says(
    services: dict[str, dict[str, Any]],
) -> None:
    assert services["api"]["environment"]["DEMO"] == "0"


def test_grafana_is_given_no_default_password(services: dict[str, dict[str, Any]]) -> None:
    environment = services["grafana"]["environment"]

    assert "GF_SECURITY_ADMIN_PASSWORD" not in environment
    assert environment["GRAFANA_ADDRESS"] == "proxy"


@pytest.mark.parametrize("missing", ["METRICS_TOKEN", "PRODUCTION_HOST", "PRODUCTION_DIR"])
def test_without_the_secrets_the_start_is_refused(made: Path, tmp_path: Path, missing: str) -> None:
    kept = [f"{k}={v}\n" for k, v in variables(made).items() if k != missing]
    (tmp_path / "compose.env").write_text("".join(kept))

    result = tool("docker-compose", "--env-file", str(tmp_path / "compose.env"), "config")

    assert result.returncode != 0
    assert "run make production-secrets" in result.stderr


def test_djangos_check_of_a_deployment_has_nothing_to_say(
    services: dict[str, dict[str, Any]],
) -> None:
    given = {name: str(value) for name, value in services["api"]["environment"].items()}

    result = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **given, "OTEL_TRACES_EXPORTER": "none"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 0, result.stderr
