"""A backup of the running system, everything destroyed, and the same things found again."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests
from psycopg import sql

from testing.postgres import free_port
from testing.servers import poll
from tests.e2e.conftest import Whole, running
from tools.backup.errors import BackupError
from tools.backup.restore import restore
from tools.backup.save import save
from tools.local import runs
from tools.local.layout import PORTS, Layout

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

#: What a start of the service or a login writes.
_MOVING = {"knox_authtoken", "auth_user"}
_SERIES = 'sum by (endpoint, method) (http_requests_total{job="expense-tracker-api"})'


@dataclass
class Remembered:
    at: float
    series: dict[str, str]
    over_time: list[Any]
    silence: dict[str, Any]
    rows: dict[str, int]
    title: str
    spans: set[tuple[str, str]]


def query(whole: Whole, expression: str, at: float) -> list[dict[str, Any]]:
    url = whole.layout.url("PROMETHEUS_SERVER_PORT", "/api/v1/query")
    answer = requests.get(url, {"query": expression, "time": f"{at}"}, timeout=10).json()
    found: list[dict[str, Any]] = answer["data"]["result"]
    return found


def series(whole: Whole, at: float) -> dict[str, str]:
    return {str(found["metric"]): found["value"][1] for found in query(whole, _SERIES, at)}


def over_time(whole: Whole, at: float) -> list[Any]:
    """Every sample of a series that Prometheus has until then."""
    found = query(whole, 'up{job="expense-tracker-api"}[5m]', at)
    values: list[Any] = found[0]["values"] if found else []
    return values


def silences(whole: Whole) -> list[dict[str, Any]]:
    url = whole.layout.url("ALERTMANAGER_PORT", "/api/v2/silences")
    kept = ("matchers", "endsAt", "createdBy", "comment")
    return [
        {name: found[name] for name in kept}
        for found in requests.get(url, timeout=10).json()
        if found["status"]["state"] == "active"
    ]


def rows(whole: Whole) -> dict[str, int]:
    assert whole.system.database is not None
    counts = {}
    with psycopg.connect(whole.system.database.url()) as session:
        names = session.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        for (name,) in names.fetchall():
            statement = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(name))
            found = session.execute(statement).fetchone()
            counts[name] = found[0] if found else 0
    return {name: count for name, count in counts.items() if name not in _MOVING}


def spans(whole: Whole, trace_id: str) -> set[tuple[str, str]]:
    return {(span["spanID"], span["operationName"]) for span in whole.trace(trace_id)}


def lived(whole: Whole) -> tuple[str, str]:
    """Make an expense and a silence; the expense's path and trace."""
    header = whole.login()
    answer = whole.api(
        "POST",
        "/api/v1/expenses/",
        headers=header,
        json={
            "title": "Before the fire",
            "merchant": "Cafe",
            "amount": "12.50",
            "currency": "EUR",
            "spent_on": "2026-01-15",
        },
    )
    assert answer.status_code == 201, answer.text
    posted = requests.post(
        whole.layout.url("ALERTMANAGER_PORT", "/api/v2/silences"),
        json={
            "matchers": [{"name": "alertname", "value": "SlowDatabase", "isRegex": False}],
            "startsAt": datetime.now(UTC).isoformat(),
            "endsAt": (datetime.now(UTC) + timedelta(hours=8)).isoformat(),
            "createdBy": "tests",
            "comment": "the disk is being changed",
        },
        timeout=10,
    )
    assert posted.ok, posted.text
    trace_id = answer.headers["Server-Timing"].partition('desc="00-')[2][:32]
    created = '{method="POST",endpoint="/api/v1/expenses/",status="201"}'
    poll(lambda: whole.query(f"http_requests_total{created} >= 1"), 30, "no sample")
    poll(lambda: len(spans(whole, trace_id)) > 1, 30, "no trace")
    # A second ago: what was scraped since may still be on its way.
    poll(lambda: len(over_time(whole, time.time() - 1)) > 3, 30, "no samples of a second ago")
    return f"/api/v1/expenses/{answer.json()['id']}/", trace_id


@pytest.fixture(scope="module")
def layout() -> Iterator[Layout]:
    # Not pytest's own folder: each pytest that starts shuts it to PostgreSQL's user.
    folder = Path(tempfile.mkdtemp(prefix="expense-tracker-backup-"))
    yield Layout(folder / "local", {name: free_port() for name in PORTS})
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def backup(layout: Layout) -> tuple[Path, str, str, Remembered]:
    """A backup of a system that lived, what it knew, and nothing left of it."""
    target = layout.folder.parent / "taken"
    lock = runs.take(layout)
    assert lock is not None
    with lock, running(layout) as whole:
        path, trace_id = lived(whole)
        runs.write_state(layout, whole.system.state())
        remembered = Remembered(
            at=(at := time.time() - 1),
            series=series(whole, at),
            over_time=over_time(whole, at),
            silence=silences(whole)[0],
            rows=rows(whole),
            title=whole.api("GET", path, headers=whole.login()).json()["title"],
            spans=spans(whole, trace_id),
        )

        save(layout, target)

        with pytest.raises(BackupError, match=r"still running .* make down first"):
            restore(target, layout)
        assert whole.trace(trace_id), "Jaeger did not go on"
        assert not any((layout.folder / "prometheus" / "snapshots").iterdir())
    shutil.rmtree(layout.folder)
    return target, path, trace_id, remembered


@pytest.fixture(scope="module")
def restored(layout: Layout, backup: tuple[Path, str, str, Remembered]) -> Iterator[Whole]:
    restore(backup[0], layout)
    with running(layout) as whole:
        yield whole


@pytest.fixture(scope="module")
def remembered(backup: tuple[Path, str, str, Remembered]) -> Remembered:
    return backup[3]


def test_the_same_query_has_the_same_result(restored: Whole, remembered: Remembered) -> None:
    assert remembered.series
    assert series(restored, remembered.at) == remembered.series
    assert over_time(restored, remembered.at) == remembered.over_time


def test_every_table_has_its_rows(restored: Whole, remembered: Remembered) -> None:
    assert remembered.rows["expenses_expense"] > 1000
    assert rows(restored) == remembered.rows


def test_the_old_password_opens_the_old_expense(
    restored: Whole, backup: tuple[Path, str, str, Remembered], remembered: Remembered
) -> None:
    found = restored.api("GET", backup[1], headers=restored.login()).json()

    assert found["title"] == remembered.title == "Before the fire"


def test_the_silence_is_silent_again(restored: Whole, remembered: Remembered) -> None:
    assert silences(restored) == [remembered.silence]


def test_the_trace_is_there(
    restored: Whole, backup: tuple[Path, str, str, Remembered], remembered: Remembered
) -> None:
    assert spans(restored, backup[2]) == remembered.spans


def test_grafanas_files_are_put_beside(restored: Whole) -> None:
    boards = list((restored.layout.folder / "grafana/dashboards").glob("*.json"))

    assert len(boards) >= 4


def test_new_samples_and_spans_join_the_old(restored: Whole, remembered: Remembered) -> None:
    answer = restored.api("GET", "/api/schema/", headers={"Accept": "application/json"})
    trace_id = answer.headers["Server-Timing"].partition('desc="00-')[2][:32]

    poll(lambda: spans(restored, trace_id), 30, "no new trace")
    poll(
        lambda: len(over_time(restored, time.time())) > len(remembered.over_time),
        30,
        "no new sample",
    )
