"""The doctor beside parts that are away, hang, or talk nonsense: a line for each, never a trace."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections import namedtuple
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from testing.postgres import free_port
from tools.doctor import ask, disk, prometheus, service
from tools.doctor.__main__ import examine, from_variables
from tools.doctor.check import Check, Failed, Skipped, System, answer
from tools.doctor.checks import CHECKS
from tools.local.layout import PORTS, ROOT, Layout

BY_NAME = {check.name: check for check in CHECKS}
Bodies = dict[str, tuple[int, str]]


@contextmanager
def serving(
    bodies: Bodies | None = None, otherwise: tuple[int, str] = (404, "{}"), **headers: str
) -> Iterator[str]:
    """A part that answers what it is told to, by the beginning of the path."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = (told for path, told in (bodies or {}).items() if self.path.startswith(path))
            status, body = next(found, otherwise)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(body.encode())

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@contextmanager
def hanging() -> Iterator[str]:
    """Takes connections, and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def dripping() -> Iterator[str]:
    """Sends a byte now and then: no timeout of a socket ever ends."""
    listener = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def drip() -> None:
        client, _ = listener.accept()
        with client:
            while not over.wait(0.02):
                client.sendall(b"x")

    thread = threading.Thread(target=drip)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    over.set()
    thread.join()
    listener.close()


@contextmanager
def refusing() -> Iterator[str]:
    yield f"http://127.0.0.1:{free_port()}"


@contextmanager
def garbage() -> Iterator[str]:
    with serving(otherwise=(200, "<html>\nWelcome to the router</html>")) as url:
        yield url


@contextmanager
def other_json() -> Iterator[str]:
    with serving(otherwise=(200, '{"data": [1, null], "status": "success"}')) as url:
        yield url


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask, "PATIENCE", 0.2)
    monkeypatch.setattr(prometheus, "_SCRAPED", 0.2)


def system(url: str = "http://127.0.0.1:9", **known: Any) -> System:
    return System(url, url, url, url, **known)


def asked(name: str, url: str, **known: Any) -> str:
    return str(answer(BY_NAME[name], system(url, **known), 10))


@pytest.mark.parametrize("part", [refusing, hanging, garbage, other_json])
def test_whatever_the_parts_do_each_check_is_one_line(part: Callable[[], Any]) -> None:
    said: list[str] = []

    with part() as url:
        failed = examine(system(url), say=said.append)

    assert len(said) == len(CHECKS)
    assert not any("\n" in line for line in said)
    assert failed >= 3
    for line in said:
        assert line.startswith(("ok ", "FAIL ", "skipped "))
        assert not line.startswith("FAIL") or ". Mend: " in line


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (refusing, "nobody listens"),
        (hanging, "took the connection and gave no answer in 0.2 s"),
        (garbage, "answers with what is no JSON: '<html>"),
        (other_json, "an answer of another shape than expected"),
    ],
)
def test_what_a_part_does_is_told(part: Callable[[], Any], words: str) -> None:
    with part() as url:
        line = asked("prometheus", url)

    assert line.startswith("FAIL")
    assert words in line


def test_a_part_that_drips_bytes_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask, "PATIENCE", 60)

    with dripping() as url:
        given = answer(BY_NAME["prometheus"], system(url), 0.3)

    assert given.state == "FAIL"
    assert given.words.startswith("no answer within 0.3 s. Mend: ")


def test_what_needs_a_part_that_is_away_is_skipped() -> None:
    given = system()
    given.bad.add("prometheus")

    assert str(answer(BY_NAME["series"], given, 1)) == "skipped series        needs prometheus"
    assert "series" in given.bad


def test_an_api_that_is_not_ready_says_why() -> None:
    with serving({"/health/ready": (503, "the database does not answer")}) as url:
        assert "runs but is not ready: the database does not answer" in asked("api", url)


def test_a_target_that_is_down_is_named_with_its_error() -> None:
    up = '{"labels": {"job": "expense-tracker-api"}, "scrapeUrl": "u", "health": "up"}'
    down = (
        '{"labels": {"job": "jaeger"}, "scrapeUrl": "http://h:1/metrics", "health": "down",'
        ' "lastError": "connection refused"}'
    )
    body = f'{{"data": {{"activeTargets": [{up}, {down}]}}}}'

    with serving({"/api/v1/targets": (200, body)}) as url:
        line = asked("targets", url)

    assert "1 of 2 are down: jaeger http://h:1/metrics (connection refused). Mend: " in line


def test_a_prometheus_without_the_api_is_told() -> None:
    with serving({"/api/v1/targets": (200, '{"data": {"activeTargets": []}}')}) as url:
        assert "knows no target of expense-tracker-api" in asked("targets", url)


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ("[]", "has no series of"),
        ('[{"value": [0, "400.2"]}]', "the newest sample of expense-tracker-api is 400 s old"),
    ],
)
def test_series_that_do_not_come_are_told(result: str, words: str) -> None:
    with serving({"/api/v1/query": (200, f'{{"data": {{"result": {result}}}}}')}) as url:
        assert words in asked("series", url)


def test_exemplars_without_a_trace_id_do_not_count() -> None:
    body = '{"data": [{"exemplars": [{"labels": {"span": "1"}}]}]}'

    with serving({"/api/v1/query_exemplars": (200, body)}) as url:
        assert asked("exemplars", url, sampled=True).startswith("FAIL")
        assert asked("exemplars", url, sampled=False).startswith("skipped")


def test_a_rule_that_cannot_be_evaluated_is_named() -> None:
    rule = '{"name": "HighErrorRate", "health": "err", "lastError": "many-to-many"}'

    with serving(
        {"/api/v1/rules": (200, f'{{"data":{{"groups":[{{"rules":[{rule}]}}]}}}}')}
    ) as url:
        assert "1 of 1 rules fail: HighErrorRate (many-to-many). Mend: " in asked("rules", url)
        assert asked("watchdog", url).startswith("skipped")


def test_a_watchdog_that_does_not_fire_is_told() -> None:
    rules = '{"data": {"groups": [{"rules": [{"name": "Watchdog", "health": "ok"}]}]}}'
    bodies = {"/api/v1/rules": (200, rules), "/api/v1/alerts": (200, '{"data": {"alerts": []}}')}

    with serving(bodies) as url:
        assert "Watchdog is a rule and does not fire" in asked("watchdog", url)


def test_a_trace_that_does_not_arrive_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.doctor.jaeger._EXPORTED", 0.1)

    with serving() as url:
        assert "trace abc did not arrive" in asked("trace", url, trace_id="abc", sampled=True)
        assert asked("trace", url, trace_id="abc").startswith("skipped")


def test_an_alert_that_alertmanager_refuses_is_told() -> None:
    with serving(otherwise=(400, "bad")) as url:
        assert "answers 400: bad" in asked("test alert", url)


def test_a_request_without_its_ids_is_told() -> None:
    with serving(otherwise=(200, "{}")) as url:
        assert "does not carry the X-Correlation-ID" in asked("request", url)


def test_a_line_is_looked_for_in_the_local_run_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "until", lambda condition, _seconds: condition())
    layout = Layout(tmp_path)
    layout.make()
    ids = {"correlation_id": "doctor-1", "trace_id": "abc"}

    assert asked("log line", "", **ids).startswith("skipped")
    assert "no line of doctor-1" in asked("log line", "", **ids, layout=layout)
    (layout.logs / "api.log").write_text('{"correlation_id": "doctor-1", "trace_id": "abc"}\n')
    assert asked("log line", "", **ids, layout=layout).startswith("ok")


def test_a_disk_that_is_nearly_full_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _folder: usage(free=200_000_000))

    line = asked("disk", "", layout=Layout(tmp_path))

    assert f"0.2 GB free for {tmp_path}, less than 1 GB. Mend: " in line


def test_what_a_check_raises_is_a_line() -> None:
    def broken(_system: System) -> str:
        raise RuntimeError("first\nsecond")

    def not_here(_system: System) -> str:
        raise Skipped("not here")

    def failed(_system: System) -> str:
        raise Failed("x" * 5000, "a mend of its own")

    assert str(answer(Check("a", broken, "look"), system(), 5)) == (
        "FAIL    a             RuntimeError: first second. Mend: look"
    )
    assert (
        str(answer(Check("a", not_here, "look"), system(), 5)) == "skipped a             not here"
    )
    line = str(answer(Check("a", failed, "look"), system(), 5))
    assert line.endswith("xx. Mend: a mend of its own")
    assert len(line) < 500


def test_a_login_in_an_address_is_not_shown() -> None:
    url = f"http://ops:secret@127.0.0.1:{free_port()}"

    line = asked("prometheus", url)

    assert "nobody listens" in line
    assert "secret" not in line


def test_a_check_needs_what_is_asked_before() -> None:
    before: set[str] = set()
    for check in CHECKS:
        assert set(check.needs) <= before
        before.add(check.name)


def test_addresses_of_a_system_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_URL", "https://api.example.org/")

    given = from_variables()

    assert given.api == "https://api.example.org"
    assert given.layout is None
    assert given.jaeger.startswith("http://127.0.0.1:")

    monkeypatch.setenv("API_URL", "api.example.org")
    with pytest.raises(SystemExit, match="API_URL must be an address like"):
        from_variables()


def test_the_command_fails_when_nothing_runs(tmp_path: Path) -> None:
    ports = {name: str(free_port()) for name in PORTS}
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}

    result = subprocess.run(
        [sys.executable, "-m", "tools.doctor"],
        cwd=ROOT,
        env={**kept, **ports, "LOCAL_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert result.returncode == 1
    assert result.stderr == ""
    assert "FAIL    api           http://127.0.0.1:" in result.stdout
    assert "nobody listens. Mend: make up starts it" in result.stdout
    assert "4 of 14 failed" in result.stdout
