"""What ``manage.py check`` and a starting worker say about a wrong set-up, each of the four."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks

from telemetry import checks
from telemetry import settings as telemetry_settings
from telemetry.logs import masking, shapes
from testing.servers import Server, gunicorn, poll

FIRST = "telemetry.middleware.TelemetryMiddleware"


def told() -> list[str]:
    """Telemetry's messages among those of all of Django's checks."""
    return [str(found.id) for found in run_checks() if str(found.id).startswith("telemetry.")]


@pytest.fixture
def masked_keys(monkeypatch: pytest.MonkeyPatch) -> Any:
    def use(*keys: str) -> None:
        made = telemetry_settings.checked({"MASKED_KEYS": list(keys)})
        monkeypatch.setattr(telemetry_settings, "get", lambda: made)

    return use


def test_nothing_is_said_about_this_project() -> None:
    assert told() == []


@pytest.mark.parametrize(
    "middleware",
    [[], ["other.Middleware"], ["other.Middleware", FIRST], [*["other.Middleware"] * 5, FIRST]],
)
def test_w001_the_middleware_is_not_first(settings: Any, middleware: list[str]) -> None:
    settings.MIDDLEWARE = middleware

    assert told() == ["telemetry.W001"]


def test_w001_the_middleware_is_there_twice(settings: Any) -> None:
    settings.MIDDLEWARE = [FIRST, "other.Middleware", FIRST]

    assert told() == ["telemetry.W001"]


def test_opentelemetrys_own_middleware_may_stand_in_front(settings: Any) -> None:
    theirs = "opentelemetry.instrumentation.django.middleware.otel_middleware._DjangoMiddleware"
    settings.MIDDLEWARE = [theirs, FIRST, "other.Middleware"]

    assert [found.id for found in checks.middleware()] == []


def test_w002_the_folder_is_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "file" / "metrics"))

    assert told() == ["telemetry.W002"]


def test_w002_the_folder_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "metrics"))
    assert told() == []
    # Asked of the system: root may write everywhere, whatever the folder's mode says.
    monkeypatch.setattr("os.access", lambda path, _mode: Path(path) != tmp_path)

    assert told() == ["telemetry.W002"]


#: As setproctitle shows the master, where it is installed.
TITLED = """
exec -a "gunicorn: master [config.wsgi]" "$0" -c "from gunicorn.app.wsgiapp import run; run()" "$@"
"""


@pytest.mark.servers
@pytest.mark.parametrize("program", ["hooks", "module", "titled"])
def test_w003_several_workers_without_a_shared_folder(servers_database: str, program: str) -> None:
    def without_hooks(port: int) -> list[str]:
        command = [sys.executable, "-m", "gunicorn"]
        if program == "titled":
            command = ["bash", "-c", TITLED, sys.executable]
        options = ["config.wsgi", "--workers", "2", "--no-control-socket"]
        return [*command, *options, "--bind", f"127.0.0.1:{port}"]

    server = Server(
        gunicorn(workers=2) if program == "hooks" else without_hooks,
        # A Python that has another name does not find its environment.
        {"DATABASE_URL": servers_database, "PYTHONPATH": sysconfig.get_path("purelib")},
    )
    try:
        server.get("/hello/")
        if program == "hooks":
            assert "telemetry.W003" not in server.log.read_text()
            return

        def warnings() -> list[dict[str, Any]]:
            return [line for line in server.log_lines() if "telemetry.W003" in line["message"]]

        poll(lambda: len(warnings()) == 2, 20, "not each worker warned, once")
        assert {line["level"] for line in warnings()} == {"warning"}
        assert "telemetry.gunicorn" in warnings()[0]["message"]
    finally:
        server.stop()


@pytest.mark.parametrize("key", ["no name", "iban*", "user.iban ", "", "^iban$"])
def test_w004_a_key_to_mask_that_no_field_can_have(masked_keys: Any, key: str) -> None:
    masked_keys("iban", key)

    assert told() == ["telemetry.W004"]


def test_keys_to_mask(masked_keys: Any) -> None:
    masked_keys("IBAN", "user.card-number")

    assert told() == []
    assert shapes.mask({"iban": "DE02", "amount": 1}) == {"iban": "***", "amount": 1}
    assert masking.mask_text("/pay?iban=DE02&amount=1") == "/pay?iban=***&amount=1"
    assert shapes.mask({"user.card-number": "4111"}) == {"user.card-number": "***"}


def test_lines_before_djangos_settings_do_not_hide_the_keys(
    masked_keys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    masked_keys("iban")
    monkeypatch.setattr(telemetry_settings, "are_there", lambda: False)
    assert shapes.mask({"iban": "DE02"}) == {"iban": "DE02"}

    monkeypatch.setattr(telemetry_settings, "are_there", lambda: True)

    assert shapes.mask({"iban": "DE02"}) == {"iban": "***"}
