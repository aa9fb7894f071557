"""The whole system: PostgreSQL, the service, and the monitoring stack beside it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from testing.postgres import Postgres, PostgresError, free_port
from tools.local import credentials, environment, ports
from tools.local.layout import ROOT, Layout
from tools.local.parts import Part, end_database_with_parent
from tools.local.stack import Stack

Say = Callable[[str], None]


class StartError(RuntimeError):
    """The system cannot start; one line that says why and what to do."""


class System:
    """Started by ``make up``, by the end-to-end tests and by the drills alike."""

    #: Whether the links of alerts lead to what runs here, or to where Grafana would be.
    local_links = False
    #: Whether the API restarts when its code changes (``make dev``).
    reload = False
    #: Demo data of a first start.
    expenses, users = 2000, 5

    def __init__(self, layout: Layout, say: Say = print, *, speed: float = 1.0) -> None:
        self.layout = layout
        self.say = say
        self.speed = speed
        self.secrets: dict[str, str] = {}
        self.database: Postgres | None = None
        self.api: Part | None = None
        self.rates: Part | None = None
        self.stack: Stack | None = None

    def start_service(self) -> None:
        """PostgreSQL, migrations, demo data, the API. Raises StartError; ``stop`` cleans up."""
        port = self.layout.port("API_PORT")
        if not ports.is_free(port):
            raise StartError(
                f"port {port} is taken by {ports.holder(port)}: "
                "stop it, or use another port, make up API_PORT=8081"
            )
        self.layout.make()
        self.secrets = credentials.load(self.layout.secrets)
        address = os.environ.get("DATABASE_URL", "")
        if address:
            self.say("using the database of DATABASE_URL; no demo data is put there")
        else:
            address = self._start_database()
        self._manage(["migrate", "--verbosity", "0"], address)
        self._manage(["probe_account"], address)
        if self.database is not None:
            seed = ["seed_demo", "--expenses", str(self.expenses), "--users", str(self.users)]
            self._manage(seed, address)
        self._start_rates()
        address = self.address_for_service(address)
        self.api = service(self.layout, address, self.secrets, reload=self.reload)
        self.api.start()
        if not self.api.wait_until_ready(30):
            raise StartError(f"the API did not start: {self.api.last_words()}  ({self.api.log})")

    def address_for_service(self, address: str) -> str:
        """The database's address as the API gets it."""
        return address

    def layout_of_rates(self) -> Layout:
        """Where the second service listens."""
        return self.layout

    def _start_rates(self) -> None:
        """The demo's second service; without it the API runs all the same."""
        port = self.layout.port("RATES_PORT")
        if not ports.is_free(port):
            self.say(f"port {port} is taken: the demo's second service is left out (RATES_PORT=…)")
            return
        self.rates = second_service(self.layout_of_rates())
        self.rates.start()

    def _start_database(self) -> str:
        port = self.layout.port("POSTGRES_PORT")
        if port == 0 or not ports.is_free(port):
            # Nobody outside needs to know it: any other port will do.
            port = free_port()
        self.database = Postgres(
            self.layout.folder / "postgres", port, before_exec=end_database_with_parent
        )
        try:
            self.database.start()
        except PostgresError as error:
            raise StartError(str(error)) from error
        return self.database.url()

    def _manage(self, command: list[str], address: str) -> None:
        result = subprocess.run(
            [sys.executable, "manage.py", *command],
            cwd=ROOT,
            env=os.environ | environment.of_commands(self.layout, address, self.secrets),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if result.returncode:
            last = (result.stdout.strip().splitlines() or ["no output"])[-1]
            raise StartError(f"manage.py {command[0]} failed: {last}")

    def start_stack(self) -> None:
        self.stack = Stack(self.layout, self.say, speed=self.speed, local_links=self.local_links)
        try:
            self.stack.start()
        except (OSError, ValueError) as error:
            self.say(f"the monitoring stack could not be started: {error}")

    def problem(self) -> str | None:
        """Why the system cannot go on: the database or the API ended."""
        if self.api is not None and not self.api.running():
            return f"the API ended: {self.api.last_words()}  (log: {self.api.log})"
        server = self.database.process if self.database is not None else None
        if server is not None and server.poll() is not None:
            return f"PostgreSQL ended, see {self.layout.folder / 'postgres' / 'server.log'}"
        return None

    def state(self, *, stack: bool = True) -> dict[str, Any]:
        """What `make status` and `make backup` must know of a run; written for them as JSON."""
        parts = {"api": self.api, "rates": self.rates}
        parts |= self.stack.parts if self.stack is not None else {}
        processes = {name: part.process for name, part in parts.items() if part is not None}
        return {
            "ports": self.layout.ports,
            "stack": stack,
            "database_port": self.database.port if self.database is not None else None,
            "processes": {name: process.pid for name, process in processes.items() if process},
        }

    def stop(self) -> None:
        """In the order of who needs whom. Safe to call at any point of a start."""
        for part in (self.api, self.rates):
            if part is not None:
                part.stop()
        if self.stack is not None:
            self.stack.stop()
        if self.database is not None:
            self.database.stop()


def service(
    layout: Layout, database_url: str, secrets: dict[str, str], *, reload: bool = False
) -> Part:
    """The API on the layout's port, under gunicorn.

    With ``reload`` under Django's development server, which also waits for the next change where
    the code cannot be imported; gunicorn would end, or not reload at all with ``preload_app``.
    """
    variables = environment.of_service(layout, database_url, secrets)
    url = layout.url("API_PORT", "/health/ready")
    address = layout.address("API_PORT")
    if reload:
        command = [sys.executable, "manage.py", "runserver", address]
    else:
        command = _gunicorn("config.wsgi", address)
    return Part("api", command, layout.logs / "api.log", url, variables, cwd=ROOT)


def second_service(layout: Layout) -> Part:
    """The demo's second service under gunicorn."""
    variables = environment.of_rates(layout, str(layout.folder / "rates-metrics"))
    url = layout.url("RATES_PORT", "/health/live")
    command = _gunicorn("config.rates.wsgi", layout.address("RATES_PORT"))
    return Part("rates", command, layout.logs / "rates.log", url, variables, cwd=ROOT)


def _gunicorn(application: str, address: str) -> list[str]:
    options = ("-c", "config/gunicorn.conf.py", "--bind", address)
    return [sys.executable, "-m", "gunicorn", *options, application]
