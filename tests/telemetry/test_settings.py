from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from telemetry import settings
from telemetry.environment import WrongEnvironmentError


@pytest.mark.parametrize(
    "given",
    [
        {"SERVCE_NAME": "x"},
        {"SERVICE_NAME": 3},
        {"TRACES_EXPORTER": "zipkin"},
        {"TRUSTED_PROXIES": "10.0.0.1"},
        {"TRUSTED_PROXIES": ["ten"]},
        {"REPEATED_QUERIES": 0},
        {"SLOW_REQUEST_SECONDS": -1},
        {"SLOW_REQUEST_SECONDS": float("nan")},
        {"METRICS_PATH": "metrics"},
        {"METRICS_PATH": "/health/live"},
        {"METRICS_PORT": -1},
        {"METRICS_PORT": 65536},
        {"TRUST_INCOMING_TRACE": "yes"},
        {"PROPAGATE_TO_HOSTS": "example.org"},
        {"PROPAGATE_TO_HOSTS": None},
        {"PROPAGATE_TO_HOSTS": [7]},
        {"PROPAGATE_TO_HOSTS": ["https://example.org"]},
        {"PROPAGATE_TO_HOSTS": ["example.org/path"]},
        {"PROPAGATE_TO_HOSTS": ["*.example.org"]},
        {"PROPAGATE_TO_HOSTS": [""]},
        {"PROPAGATE_TO_HOSTS": ["."]},
    ],
    ids=str,
)
def test_a_wrong_setting_is_refused_by_its_name(given: dict[str, Any]) -> None:
    with pytest.raises(ImproperlyConfigured, match=next(iter(given))):
        settings.checked(given)


@pytest.mark.parametrize("given", [None, [], "shop"])
def test_settings_that_are_no_dict_are_refused(given: Any) -> None:
    with pytest.raises(ImproperlyConfigured, match="TELEMETRY must be a dict"):
        settings.checked(given)


def test_lists_may_be_written_as_lists() -> None:
    names = ("TRUSTED_PROXIES", "UNSEEN_COMMANDS", "MASKED_KEYS", "PROPAGATE_TO_HOSTS")

    made = settings.checked({name: ["10.0.0.1"] for name in names})

    assert hash(made) == hash(settings.checked(dict.fromkeys(names, ("10.0.0.1",))))


@pytest.mark.parametrize(
    ("hosts", "host", "told"),
    [
        ([], "anywhere.example", True),
        (["api.example.org"], "api.example.org", True),
        (["API.example.org"], "api.example.org", True),
        (["api.example.org"], "example.org", False),
        (["api.example.org"], "api.example.org.evil.example", False),
        (["example.org"], "api.example.org", False),
        ([".example.org"], "api.example.org", True),
        ([".example.org"], "example.org", True),
        ([".example.org"], "evilexample.org", False),
        (["127.0.0.1", "::1"], "::1", True),
        (["127.0.0.1", "::1"], "localhost", False),
    ],
)
def test_ids_are_passed_on_to_the_hosts_of_the_list(
    hosts: list[str], host: str, told: bool
) -> None:
    assert settings.checked({"PROPAGATE_TO_HOSTS": hosts}).propagates_to(host) is told


@pytest.mark.parametrize(
    ("environment", "exporter"),
    [
        ({}, "jaeger"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://h:4318"}, "otlp"),
        ({"OTEL_TRACES_EXPORTER": "console"}, "console"),
        ({"OTEL_TRACES_EXPORTER": "jaeger", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://h"}, "jaeger"),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "otlp"}, "none"),
    ],
)
def test_the_exporter_is_chosen_by_the_environment_first(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], exporter: str
) -> None:
    for variable in settings.VARIABLES:
        monkeypatch.delenv(variable.name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert settings.traces_exporter() == exporter


@pytest.mark.parametrize(
    ("given", "environment", "port"),
    [
        ({}, "", 0),
        ({}, "9000", 9000),
        ({"METRICS_PORT": 8000}, "", 8000),
        ({"METRICS_PORT": 8000}, "0", 0),
        ({"METRICS_PORT": 0}, "", 0),
    ],
)
def test_a_project_has_no_metrics_only_port_that_nobody_asked_for(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, int], environment: str, port: int
) -> None:
    """It would be that of runserver, gunicorn and uvicorn, and there before they listen."""
    monkeypatch.setenv("PROMETHEUS_PORT", environment)

    with override_settings(TELEMETRY=given):
        assert settings.metrics_port() == port


def test_this_project_has_the_port_of_its_brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROMETHEUS_PORT")

    assert settings.metrics_port() == 8000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PROMETHEUS_PORT", "70000"),
        ("OTEL_BSP_SCHEDULE_DELAY", "soon"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "jaeger:4318"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://jaeger:99999"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://[::1"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://:4318"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/no/such/file"),
        ("OTEL_TRACES_SAMPLER", "sometimes"),
        ("JAEGER_AGENT_HOST", "a b"),
        ("LOG_FORMAT", "xml"),
    ],
)
def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(WrongEnvironmentError, match=name):
        settings.check_environment()


def test_a_secret_is_not_shown_when_it_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METRICS_TOKEN", "hunter2\x01")

    with pytest.raises(WrongEnvironmentError) as raised:
        settings.check_environment()
    assert "hunter2" not in str(raised.value)
