"""Make what docker-compose.production.yml needs: certificates, passwords, tokens, configuration.

    make production-secrets PRODUCTION_HOST=expenses.example PRODUCTION_ADDRESS=0.0.0.0
    make production-secrets ROTATE=1      # new certificates, tokens and passwords of the stack
    make production-secrets PRODUCTION_INSTANCES=2

Nothing that is there is made anew without being told; run it again after an update of the
checkout, for what is derived from the shipped files.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import yaml

from monitoring.production import certificates, configuration, passwords
from monitoring.render import HERE, Links, write_rules

ROOT = HERE.parent
FOLDER = ROOT / ".production"

#: Each secret and whether ROTATE=1 makes it anew. A database keeps what it was given at its
#: first start, and a new key would sign everybody out.
SECRETS = {
    "DJANGO_SECRET_KEY": False,
    "POSTGRES_PASSWORD": False,
    "GRAFANA_ADMIN_PASSWORD": False,
    "METRICS_TOKEN": True,
    # `docker compose up` after a rotation gives the probe's account its new password.
    "LOGIN_PROBE_TOKEN": True,
    "STACK_PASSWORD": True,
    "OPS_PASSWORD": True,
}
#: Those that must have 32 characters or more.
_LONG = {"DJANGO_SECRET_KEY", "LOGIN_PROBE_TOKEN"}
#: Names of each door's certificate within the stack.
_DOORS = {"prometheus": ["prometheus"], "alertmanager": ["alertmanager"], "proxy": []}
_LOCAL = ["localhost", "127.0.0.1"]


#: The project's name in docker-compose.production.yml, with which container names begin.
PROJECT = "expense-tracker-production"
_MOST_INSTANCES = 20


class WrongValueError(ValueError):
    """A variable whose name begins with PRODUCTION_ has an invalid value; the message says which
    values are valid."""


def make(
    folder: Path,
    *,
    host: str = "",
    address: str = "",
    instances: str = "",
    project: str = PROJECT,
    rotate: bool = False,
) -> dict[str, str]:
    """Fill ``folder`` and return the variables of its ``compose.env``.

    ``host`` is the name people use in the browser, ``address`` the interface that ports are
    published on, ``instances`` how many containers of the API run behind the proxy; an empty value
    keeps the one of the last call, at first localhost, 127.0.0.1 and 1. ``project`` is the name of
    the compose project.
    """
    folder = folder.resolve()
    # Nobody else may enter. Inside, what containers read is open: each image runs as another user.
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    variables = _variables(folder, host, address, rotate)
    variables |= _instances(instances or variables.get("API_INSTANCES", "1"), project)
    _write_variables(folder, variables)
    authority = folder / "ca.key", folder / "ca.crt"
    if rotate or not all(file.is_file() for file in authority):
        certificates.authority(*authority)
        rotate = True
    for door, names in _DOORS.items():
        _certificate(folder, door, [*names, *_LOCAL, variables["PRODUCTION_HOST"]], rotate)
    _prometheus(folder / "prometheus", variables)
    _server(folder / "alertmanager", variables, "/secrets")
    _proxy(folder / "proxy", variables)
    _grafana(folder / "grafana", variables, authority[1].read_text())
    for door in (*_DOORS, "grafana"):
        for path in (folder / door, *(folder / door).rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
    return variables


def _variables(folder: Path, host: str, address: str, rotate: bool) -> dict[str, str]:
    """What stands in ``compose.env`` (lines of one's own too), with what is missing."""
    file = folder / "compose.env"
    lines = file.read_text().splitlines() if file.is_file() else []
    found = {
        name: value
        for name, equals, value in (line.partition("=") for line in lines)
        if equals and not name.startswith("#")
    }
    # With it `docker compose --env-file` needs no -f.
    found["COMPOSE_FILE"] = "docker-compose.yml:docker-compose.production.yml"
    found["PRODUCTION_DIR"] = str(folder)
    found["PRODUCTION_HOST"] = _host(host or found.get("PRODUCTION_HOST", "localhost"))
    found["PRODUCTION_ADDRESS"] = _address(address or found.get("PRODUCTION_ADDRESS", "127.0.0.1"))
    for name, rotates in SECRETS.items():
        if not found.get(name) or (rotate and rotates):
            found[name] = passwords.new(48 if name in _LONG else 24)
    return found


def _write_variables(folder: Path, variables: dict[str, str]) -> None:
    lines = (f"{name}={value}\n" for name, value in variables.items())
    _write(folder / "compose.env", "".join(lines))


def _instances(number: str, project: str) -> dict[str, str]:
    """Return the variables for so many instances of the API.

    The proxy and Prometheus know each instance by the name of its container. The service's name
    would lead to any of them, and to none that has stopped: nobody would see that one is away.
    """
    if not (re.fullmatch("[0-9]{1,2}", number) and 1 <= int(number) <= _MOST_INSTANCES):
        raise WrongValueError(
            f"PRODUCTION_INSTANCES must be a whole number from 1 to {_MOST_INSTANCES}, "
            f"not {number[:40]!r}"
        )
    names = ["api"]
    if int(number) > 1:
        names = [f"{project}-api-{index}" for index in range(1, int(number) + 1)]
    addresses = " ".join(f"{name}:8080" for name in names)
    return {"API_INSTANCES": str(int(number)), "API_ADDRESSES": addresses}


def _host(host: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", host):
        raise WrongValueError(
            f"PRODUCTION_HOST must be a host name or an IPv4 address, not {host!r}"
        )
    return host


def _address(address: str) -> str:
    if not certificates.is_address(address):
        raise WrongValueError(
            f"PRODUCTION_ADDRESS must be an IP address of this machine, not {address!r}"
        )
    return address


def _certificate(folder: Path, door: str, names: list[str], rotate: bool) -> None:
    place = folder / door
    place.mkdir(exist_ok=True)
    names = list(dict.fromkeys(names))
    certificate = place / "server.crt"
    stale = rotate or not certificates.serves(certificate, names)
    # One that somebody put there is theirs to renew.
    if stale and not certificates.foreign(certificate):
        certificates.server(place, names, folder / "ca.key", folder / "ca.crt")
    _write(place / "ca.crt", (folder / "ca.crt").read_text())


def _prometheus(place: Path, variables: dict[str, str]) -> None:
    _server(place, variables, "/etc/prometheus/secrets")
    _write(place / "metrics_token", variables["METRICS_TOKEN"])
    shipped = yaml.safe_load((HERE / "prometheus/prometheus.yml").read_text())
    configuration.lock_prometheus(shipped, "secrets")
    _dump(place / "prometheus.yml", shipped)
    (place / "targets").mkdir(exist_ok=True)
    targets = {
        file.name: yaml.safe_load(file.read_text())
        for file in (HERE / "prometheus/targets/compose").iterdir()
    }
    targets["api.yml"] = [{"targets": variables["API_ADDRESSES"].split()}]
    for name, content in targets.items():
        # A running Prometheus reads them at the moment when they change, and not again.
        _dump(place / "targets" / name, content, mode=0o644)
    host = variables["PRODUCTION_HOST"]
    links = Links(grafana=f"https://{host}:3001", jaeger=f"https://{host}:16686")
    write_rules(place / "rules", links=links)


def _server(place: Path, variables: dict[str, str], inside: str) -> None:
    """What Prometheus and Alertmanager both need to ask for passwords, and to give one.

    ``inside`` is where the container finds the folder: amtool reads no relative path.
    """
    web = place / "web.yml"
    known = yaml.safe_load(web.read_text())["basic_auth_users"] if web.is_file() else {}
    users = {
        configuration.PERSON: variables["OPS_PASSWORD"],
        configuration.TOOL: variables["STACK_PASSWORD"],
    }
    hashes = {
        user: passwords.hashed(password, known.get(user, "")) for user, password in users.items()
    }
    _dump(web, configuration.server(hashes))
    _dump(place / "client.yml", configuration.client(inside))
    _write(place / "stack_password", variables["STACK_PASSWORD"])


def _proxy(place: Path, variables: dict[str, str]) -> None:
    users = place / "users"
    known = users.read_text().partition(" ")[2].strip() if users.is_file() else ""
    hashed = passwords.hashed(variables["OPS_PASSWORD"], known)
    _write(users, f"{configuration.PERSON} {hashed}\n")


def _grafana(place: Path, variables: dict[str, str], authority: str) -> None:
    place.mkdir(exist_ok=True)
    _write(place / "admin_password", variables["GRAFANA_ADMIN_PASSWORD"])
    file = HERE / "grafana/provisioning/datasources/datasources.yml"
    shipped = yaml.safe_load(file.read_text())
    configuration.lock_data_sources(shipped, variables["STACK_PASSWORD"], authority)
    _dump(place / "datasources.yml", shipped)


def _dump(file: Path, content: dict[str, Any] | list[Any], mode: int = 0o600) -> None:
    _write(file, yaml.safe_dump(content, sort_keys=False, width=200), mode)


def _write(file: Path, text: str, mode: int = 0o600) -> None:
    """Replace the file in one step. What did not change is left alone."""
    if file.is_file() and file.read_text() == text:
        return
    unfinished = file.with_name(f"{file.name}.unfinished")
    unfinished.touch(mode=0o600)
    unfinished.write_text(text)
    unfinished.chmod(mode)
    unfinished.replace(file)


def main() -> int:
    given = os.environ
    try:
        made = make(
            Path(given.get("PRODUCTION_DIR") or FOLDER),
            host=given.get("PRODUCTION_HOST", ""),
            address=given.get("PRODUCTION_ADDRESS", ""),
            instances=given.get("PRODUCTION_INSTANCES", ""),
            project=given.get("COMPOSE_PROJECT_NAME") or PROJECT,
            rotate=given.get("ROTATE", "") not in {"", "0"},
        )
    except (WrongValueError, passwords.PasswordError, certificates.CertificateError) as error:
        print(f"production: {error}", file=sys.stderr)
        return 1
    folder = made["PRODUCTION_DIR"]
    host = made["PRODUCTION_HOST"]
    print(f"""\
{folder} holds what production needs; keep it, and show it to nobody.
  passwords     {folder}/compose.env
  certificates  signed by {folder}/ca.crt, which browsers and scripts should trust
Start:  docker compose --env-file {folder}/compose.env up -d --build
  https://{host}        the API and its admin
  https://{host}:3001   Grafana, admin and GRAFANA_ADMIN_PASSWORD
  https://{host}:9090   Prometheus, {configuration.PERSON} and OPS_PASSWORD
  https://{host}:9093   Alertmanager, likewise
  https://{host}:16686  Jaeger, likewise""")
    return 0


if __name__ == "__main__":
    sys.exit(main())
