"""PostgreSQL: dumped by `pg_dump` while it serves, loaded into a new cluster by `pg_restore`."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import psycopg

from testing.postgres import DATABASE, PROGRAMS, USER, Postgres, PostgresError, free_port
from tools.backup.errors import BackupError
from tools.backup.running import Running
from tools.local.layout import Layout
from tools.local.parts import end_database_with_parent


def save(running: Running, file: Path, _scratch: Path) -> int:
    """One consistent view of the database, in `pg_dump`'s custom format."""
    assert running.database_port is not None
    server = Postgres(running.layout.folder / "postgres", running.database_port)
    # --file: written by us, who may be another user than the server's.
    _run(server, "pg_dump", "--format=custom", f"--file={file}", DATABASE)
    with psycopg.connect(server.url(), connect_timeout=5) as session:
        row = session.execute("SELECT pg_database_size(current_database())").fetchone()
    assert row is not None
    return int(row[0])


def load(file: Path, layout: Layout) -> None:
    """A new cluster with the dump's content, stopped when it returns."""
    server = Postgres(layout.folder / "postgres", free_port(), before_exec=end_database_with_parent)
    try:
        server.start()
        _run(server, "pg_restore", "--exit-on-error", "--no-owner", f"--dbname={DATABASE}", file)
        with psycopg.connect(server.url(), autocommit=True) as session:
            # The planner knows nothing of the new rows.
            session.execute("ANALYZE")
    except (PostgresError, psycopg.Error) as error:
        raise BackupError(f"PostgreSQL: {' '.join(str(error).split())[-400:]}") from error
    finally:
        server.stop()


def _run(server: Postgres, program: str, *arguments: str | Path) -> None:
    result = subprocess.run(
        [
            str(PROGRAMS / program),
            *("--host=127.0.0.1", f"--port={server.port}", f"--username={USER}"),
            *map(str, arguments),
        ],
        # Not on the command line, which every user of the machine may read.
        env={**os.environ, "PGPASSWORD": server.password},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        last = (result.stderr.strip().splitlines() or ["no word of why"])[-1]
        raise BackupError(f"{program} failed: {last}")
