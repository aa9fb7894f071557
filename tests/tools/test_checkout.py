"""``manage.py`` in a checkout, as a person runs it: another process, with a real PostgreSQL."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from testing.postgres import Postgres, free_port
from tools.local import credentials, runs
from tools.local.layout import ROOT, Layout

#: Prints what the settings have, and what the database that they name says of itself.
_SHOW = """
from django.conf import settings
from django.db import connection
print(settings.DEMO, settings.SECRET_KEY)
with connection.cursor() as cursor:
    cursor.execute("SELECT inet_server_port(), current_database()")
    print(*cursor.fetchone())
"""


def manage(
    folder: Path, *arguments: str, root: Path = ROOT, text: str = "", **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run ``manage.py`` with this state folder and nothing of the tests' own environment."""
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=root,
        env={"PATH": os.environ["PATH"], "LOCAL_DIR": str(folder), **variables},
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def said(result: subprocess.CompletedProcess[str]) -> str:
    """The one line with which a command was refused."""
    (line,) = result.stderr.splitlines()
    assert result.returncode == 1
    assert result.stdout == ""
    return line


@pytest.fixture(scope="module")
def local_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Layout]:
    """The database, the secrets, the lock and the state of a `make up`."""
    layout = Layout(tmp_path_factory.mktemp("local"))
    layout.make()
    credentials.load(layout.secrets)
    database = Postgres(layout.folder / "postgres", free_port(), {"fsync": "off"})
    database.start()
    lock = runs.take(layout)
    assert lock is not None
    with lock:
        write_state(layout, database_port=database.port)
        yield layout
    database.stop()


def write_state(layout: Layout, **state: Any) -> None:
    runs.write_state(layout, {"ports": {}, "stack": False, "processes": {}, **state})


def test_a_command_uses_the_database_and_the_secrets_of_the_local_run(local_run: Layout) -> None:
    result = manage(local_run.folder, "shell", "-c", _SHOW)

    assert result.returncode == 0, result.stderr
    port = runs.read_state(local_run.state)["database_port"]
    key = credentials.read(local_run.secrets)["DJANGO_SECRET_KEY"]
    assert result.stdout.splitlines()[-2:] == [f"True {key}", f"{port} expenses"]


def test_the_shell_reads_what_is_sent_to_it(local_run: Layout) -> None:
    result = manage(local_run.folder, "shell", text="print(6 * 7)\n")

    assert (result.returncode, result.stdout.splitlines()[-1:]) == (0, ["42"])


def test_psql_is_that_of_the_wheel_where_there_is_no_other(
    local_run: Layout, tmp_path: Path
) -> None:
    result = manage(
        local_run.folder,
        *("dbshell", "--", "--tuples-only", "--no-align", "--command", "SELECT current_user"),
        PATH=str(tmp_path),
    )

    assert (result.returncode, result.stdout) == (0, "expenses\n"), result.stderr


def test_migrations_are_compared_with_the_local_database(local_run: Layout) -> None:
    result = manage(local_run.folder, "makemigrations", "--check", "--dry-run")

    assert result.returncode == 0, result.stderr
    assert "No changes detected" in result.stdout


def test_what_is_set_wins(local_run: Layout) -> None:
    mine = "my-own-key-" + "k" * 40

    result = manage(
        local_run.folder, "shell", "-c", _SHOW, DJANGO_SECRET_KEY=mine, DEMO="0", LOG_LEVEL="ERROR"
    )

    assert result.stdout.splitlines()[-2] == f"False {mine}", result.stderr


def test_a_database_that_is_set_wins_and_gets_no_demo(local_run: Layout) -> None:
    port = runs.read_state(local_run.state)["database_port"]
    server = Postgres(local_run.folder / "postgres", port)
    with psycopg.connect(server.url(), autocommit=True) as session:
        session.execute("CREATE DATABASE another")

    result = manage(
        local_run.folder, "shell", "-c", _SHOW, DATABASE_URL=server.url("another"), DJANGO_HTTPS="0"
    )

    key = credentials.read(local_run.secrets)["DJANGO_SECRET_KEY"]
    assert result.stdout.splitlines()[-2:] == [f"False {key}", f"{port} another"], result.stderr


def test_an_empty_variable_counts_as_absent(local_run: Layout) -> None:
    result = manage(local_run.folder, "check", DATABASE_URL="", DJANGO_SECRET_KEY=" ")

    assert result.returncode == 0, result.stderr


def test_a_wrong_variable_is_still_refused(local_run: Layout) -> None:
    result = manage(local_run.folder, "check", DATABASE_URL="mysql://localhost/expenses")

    assert said(result).startswith("environment: DATABASE_URL must look like postgresql://")


@pytest.mark.parametrize("command", ["shell", "migrate", "check", "help", "runserver", ""])
def test_without_a_local_run_one_line_says_what_to_run(tmp_path: Path, command: str) -> None:
    line = said(manage(tmp_path, *filter(None, [command])))

    assert line.startswith("manage.py: there is no DATABASE_URL, and no local database in ")
    assert "run make up" in line


def test_a_local_run_that_was_stopped_is_said_to_be(tmp_path: Path) -> None:
    credentials.load(tmp_path / "secrets.env")

    line = said(manage(tmp_path, "shell"))

    assert "is not running: run make up" in line


def test_the_state_of_a_stopped_run_adds_nothing_to_a_database_that_is_set(
    tmp_path: Path,
) -> None:
    credentials.load(tmp_path / "secrets.env")

    line = said(manage(tmp_path, "check", DATABASE_URL="postgresql://expenses@127.0.0.1/expenses"))

    assert line == "environment: DJANGO_SECRET_KEY is required (or set DEMO=1 for a demo)"


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (None, "make up is still starting: try again when it shows its table"),
        ({"database_port": None}, "make up was given a DATABASE_URL and started no database"),
    ],
)
def test_a_run_without_a_database_of_its_own_is_said_to_have_none(
    tmp_path: Path, state: dict[str, Any] | None, words: str
) -> None:
    layout = Layout(tmp_path)
    layout.make()
    credentials.load(layout.secrets)
    lock = runs.take(layout)
    assert lock is not None

    with lock:
        if state is not None:
            write_state(layout, **state)
        line = said(manage(tmp_path, "shell"))

    assert words in line


def test_what_an_image_holds_knows_no_local_run(local_run: Layout, tmp_path: Path) -> None:
    held = (ROOT / ".dockerignore").read_text().splitlines()
    for name in (line[1:] for line in held if line.startswith("!")):
        source, target = ROOT / name, tmp_path / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)

    line = said(manage(local_run.folder, "check", root=tmp_path))

    assert line == "environment: DJANGO_SECRET_KEY is required (or set DEMO=1 for a demo)"


def test_a_python_without_django_is_told_which_one_to_use(tmp_path: Path) -> None:
    result = subprocess.run(
        # Isolated, and without the site-packages of this environment.
        [sys.executable, "-I", "-S", str(ROOT / "manage.py"), "check"],
        env={"LOCAL_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert said(result).startswith("manage.py: this Python has no Django: make venv")
