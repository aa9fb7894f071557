from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from telemetry import settings
from telemetry.environment import WrongEnvironmentError
from telemetry.tracing import exporters, provider


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
        ("OTEL_BSP_SCHEDULE_DELAY", "-1"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "nan"),
        ("OTEL_TRACES_EXPORTER", "otlp,zipkin"),
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


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_BSP_SCHEDULE_DELAY", "0"),
        ("OTEL_BSP_SCHEDULE_DELAY", "5"),
        ("OTEL_BSP_SCHEDULE_DELAY", "3600000"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "5000000"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1000000"),
        ("OTEL_BSP_EXPORT_TIMEOUT", "0"),
        ("OTEL_BSP_EXPORT_TIMEOUT", "30000000"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "0"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10000"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "0.5"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "deflate"),
        ("OTEL_TRACES_EXPORTER", "otlp,console"),
        ("OTEL_TRACES_EXPORTER", "otlp_proto_http"),
        ("OTEL_TRACES_EXPORTER", "logging"),
        ("OTEL_TRACES_EXPORTER", "none, otlp"),
        ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
        ("OTEL_TRACES_SAMPLER", "xray"),
        ("OTEL_TRACES_SAMPLER_ARG", "endpoint=http://localhost:14250,pollingIntervalMs=5000"),
        ("OTEL_SDK_DISABLED", "maybe"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:p%40ss@h:4318"),
    ],
)
def test_what_opentelemetry_allows_does_not_stop_the_start(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)

    settings.check_environment()
    exporters.check()
    assert exporters.make() is not None or "none" in value or name.startswith("OTEL_TRACES_S")
    provider.sampler()
    assert provider.decision()(b"\x00" * 16, None) in {True, False}


def test_grpc_takes_a_target_without_a_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317")

    settings.check_environment()


@pytest.mark.parametrize(
    "address",
    [
        "http://user:hunter2@h:99999",
        "http://user:hunter2/x@h:4318",
        "ftp://user:hunter2@h",
        "http://user:hunter2@[::1",
        "user:hunter2@h://x",
    ],
)
@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_wrong_address_does_not_show_its_login(
    monkeypatch: pytest.MonkeyPatch, address: str, protocol: str
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)

    with pytest.raises(WrongEnvironmentError) as raised:
        settings.check_environment()
    assert "hunter2" not in str(raised.value)


def test_a_secret_is_not_shown_when_it_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METRICS_TOKEN", "hunter2\x01")

    with pytest.raises(WrongEnvironmentError) as raised:
        settings.check_environment()
    assert "hunter2" not in str(raised.value)
