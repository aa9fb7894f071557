"""Every query of every panel and variable, against a Prometheus that scraped real traffic."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

from testing.postgres import free_port
from testing.servers import poll
from tests.e2e.conftest import Whole
from tests.e2e.dashboards import annotations, needing_fault, queries, variables
from tests.monitoring.test_dashboards import BOARDS
from tools.local.layout import ROOT
from tools.local.traffic import Visitor

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


def traffic(whole: Whole) -> None:
    """Requests of all kinds, and the trouble that the demo's switch makes cheaply."""
    visitor = Visitor(
        whole.layout.url("API_PORT"),
        whole.login()["Authorization"].removeprefix("Token "),
        random.Random(7),
    )
    for _ in range(15):
        visitor.act()
    visitor.mistake()
    for path in ("error/", "slow/?seconds=0.6", "queries/?n=20"):
        whole.api("GET", f"/api/v1/demo/faults/{path}")
    whole.api("GET", "/api/v1/demo/rates/USD/")


def ask(whole: Whole, path: str, **query: str) -> requests.Response:
    url = whole.layout.url("PROMETHEUS_SERVER_PORT", f"/api/v1/{path}")
    return requests.get(url, query, timeout=10)


def test_every_panel_shows_data(whole: Whole) -> None:
    with_fault = needing_fault()
    waiting = {query: where for query, where in queries().items() if query not in with_fault}

    def all_seen() -> bool:
        traffic(whole)
        for query in [query for query in waiting if whole.query(query)]:
            del waiting[query]
        return not waiting

    try:
        poll(all_seen, 90, "some panels stay empty")
    except AssertionError:
        pytest.fail(f"panels without data: {waiting}")


def test_queries_that_need_a_fault_are_valid(whole: Whole) -> None:
    for query, where in queries().items():
        answer = ask(whole, "query", query=query)
        assert answer.status_code == 200, (where, answer.text)


def test_the_first_start_is_marked_as_a_deploy(whole: Whole) -> None:
    (deploys,) = (each for each in annotations()["Deploys"] if "instance" in each)

    def marks() -> bool:
        now = time.time()
        span = {"start": f"{now - 600:.0f}", "end": f"{now:.0f}", "step": "5"}
        return bool(ask(whole, "query_range", query=deploys, **span).json()["data"]["result"])

    poll(marks, 30, "no mark of a deploy")


def test_every_mark_can_be_asked_for(whole: Whole) -> None:
    for query in (query for found in annotations().values() for query in found):
        assert ask(whole, "query", query=query).status_code == 200, query


def test_every_variable_has_values(whole: Whole) -> None:
    traffic(whole)

    for where, (series, label) in variables().items():
        poll(
            lambda series=series, label=label: ask(
                whole, f"label/{label}/values", **{"match[]": series}
            ).json()["data"],
            30,
            f"{where} has no values",
        )


def preview(prometheus: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "monitoring.grafana.preview", "--minutes", "2"]
    return subprocess.run(
        [*command, "--prometheus", prometheus, "--out", folder],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_preview_draws_every_dashboard_and_one_page(whole: Whole, tmp_path: Path) -> None:
    traffic(whole)

    result = preview(whole.layout.url("PROMETHEUS_SERVER_PORT"), tmp_path)

    assert result.returncode == 0, result.stdout + result.stderr
    page = (tmp_path / "index.html").read_text()
    for uid, board in BOARDS.items():
        assert (tmp_path / f"{uid}.png").read_bytes().startswith(b"\x89PNG")
        assert f"src='{uid}.png'" in page
        assert board["title"] in page


def test_the_preview_of_a_prometheus_that_is_away_says_so(tmp_path: Path) -> None:
    result = preview(f"http://127.0.0.1:{free_port()}", tmp_path)

    assert result.returncode == 1
    assert "could not be asked (make up starts one)" in result.stdout
    assert "Traceback" not in result.stderr
