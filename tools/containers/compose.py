"""One system of a compose file: started, asked, hurt and removed."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from monitoring.tools.build import find
from testing.postgres import free_port
from tools.containers.images import docker
from tools.local.layout import PORTS, ROOT

#: Seconds until every health check must have passed.
HEALTHY_WITHIN = 150
IMAGE = "expense-tracker-api"


class ComposeError(RuntimeError):
    """A command of the compose plugin failed; the message is what it said."""


def build_image(tag: str = IMAGE) -> None:
    """Build the service's image from this checkout."""
    docker("build", "--quiet", "--network", "host", "--tag", tag, str(ROOT))


class ComposeSystem:
    """Services of compose files under a project name of their own, on free ports of the host.

    ``environment`` is what the files' variables get beside generated secrets and ports.
    """

    def __init__(
        self,
        files: Sequence[Path],
        environment: dict[str, str] | None = None,
        name: str = "",
        profiles: Sequence[str] = (),
    ) -> None:
        program = find("docker-compose")
        if program is None:
            raise ComposeError("the compose plugin is not built (make tools)")
        self.project = name or f"expense-test-{secrets.token_hex(3)}"
        self.ports = {name: free_port() for name in (*PORTS, "GRAFANA_PORT")}
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            "DOCKER_HOST": os.environ.get("DOCKER_HOST", ""),
            "POSTGRES_PASSWORD": secrets.token_hex(12),
            "DJANGO_SECRET_KEY": secrets.token_hex(32),
            **{name: str(port) for name, port in self.ports.items()},
            **(environment or {}),
        }
        self._command = [str(program), "--project-name", self.project]
        self._command += ["--project-directory", str(files[0].parent)]
        for file in files:
            self._command += ["--file", str(file)]
        for profile in profiles:
            self._command += ["--profile", profile]

    def compose(self, *arguments: str, check: bool = True, timeout: float = 240) -> str:
        """Run a command of the plugin and return what it printed. Raises ComposeError."""
        result = subprocess.run(
            [*self._command, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and result.returncode:
            said = "\n".join((result.stdout + result.stderr).strip().splitlines()[-20:])
            raise ComposeError(f"compose {' '.join(arguments)} failed:\n{said}")
        return result.stdout

    def up(self, *services: str, scale: str = "") -> None:
        """Start and wait until each health check passes. Raises ComposeError with the last lines
        of what is not healthy."""
        more = ["--scale", scale] if scale else []
        try:
            self.compose(
                *("up", "--detach", "--no-build", "--wait"),
                *("--wait-timeout", str(HEALTHY_WITHIN), *more, *services),
                timeout=HEALTHY_WITHIN + 60,
            )
        except ComposeError as error:
            states = {name: found for name, found in self.states().items() if found != "healthy"}
            logs = self.compose("logs", "--no-color", "--tail", "8", *states, check=False)
            raise ComposeError(f"{error}\n{states}\n{logs}") from None

    def down(self, *, volumes: bool = True) -> None:
        """Remove the containers and networks, and with ``volumes`` what they kept."""
        more = ["--volumes"] if volumes else []
        self.compose("down", "--timeout", "10", "--remove-orphans", *more, check=False)

    @contextmanager
    def changed_by(self, *files: Path) -> Iterator[None]:
        """Run with further compose files until the block ends; services that they change are made
        anew before and after it."""
        command = self._command
        self._command = [*command, *(part for file in files for part in ("--file", str(file)))]
        try:
            self.up()
            yield
        finally:
            self._command = command
            self.up()

    def containers(self, service: str = "") -> list[dict[str, Any]]:
        """Describe the containers of the project (or of one service), also those that ended."""
        lines = self.compose("ps", "--all", "--format", "json", *([service] if service else []))
        return [json.loads(line) for line in lines.splitlines() if line.strip()]

    def states(self) -> dict[str, str]:
        """Return each service's health, or its state where it has no health check."""
        return {each["Service"]: each["Health"] or each["State"] for each in self.containers()}

    def container(self, service: str) -> str:
        """Return the name of a service's only container."""
        (found,) = self.containers(service)
        name: str = found["Name"]
        return name

    def inspect(self, service: str, template: str) -> Any:
        """Return what ``docker inspect`` knows of a service's container, parsed from JSON."""
        text = docker("inspect", "--format", f"{{{{json {template}}}}}", self.container(service))
        return json.loads(text.stdout)

    def execute(self, service: str, *command: str, check: bool = True) -> str:
        """Run a command inside a service's container and return what it printed."""
        return self.compose("exec", "--no-TTY", service, *command, check=check)

    def logs(self, service: str) -> list[str]:
        """Return the lines that a service wrote."""
        text = self.compose("logs", "--no-color", "--no-log-prefix", service)
        return text.splitlines()

    def records(self, service: str = "api") -> list[dict[str, Any]]:
        """Return a service's JSON log records."""
        return [json.loads(line) for line in self.logs(service) if line.startswith("{")]

    def url(self, port: str, path: str = "") -> str:
        """Return an address on a published port, which is named as in ``tools.local.layout``."""
        return f"http://127.0.0.1:{self.ports[port]}{path}"
