"""What ``OTEL_EXPORTER_OTLP_*`` says reaches the wire, and what is said for traces alone wins."""

from __future__ import annotations

import gzip
import io
import json
import os
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from telemetry import settings
from telemetry.environment import WrongEnvironmentError
from telemetry.tracing import exporters
from testing.servers import ROOT
from tests.conftest import Lines
from tests.telemetry.receiver import Receiver
from tests.telemetry.test_otlp_exporter import names, spans

Set = Callable[..., None]
SPECIFIC = [variable for variable in settings.VARIABLES if variable.general is not None]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Set:
    """Sets ``OTEL_EXPORTER_OTLP_`` and the given ends of names, and nothing else of telemetry."""
    for variable in settings.VARIABLES:
        monkeypatch.delenv(variable.name, raising=False)
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")

    def set_them(**values: object) -> None:
        for name, value in values.items():
            monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{name}", str(value))

    return set_them


@pytest.fixture
def export() -> Iterator[Callable[[], int]]:
    """Sends one span by the exporter that the environment says."""
    made: list[exporters.Exporter] = []

    def send() -> int:
        exporter = exporters.make()
        assert exporter is not None
        made.append(exporter)
        return exporter.export(spans(1))

    yield send
    for exporter in made:
        exporter.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", ["/", "/v1/traces/", "/take?key=7&of=us"])
def test_the_address_for_traces_is_taken_as_it_is(
    environment: Set, export: Callable[[], int], receiver: Receiver, path: str
) -> None:
    environment(TRACES_ENDPOINT=receiver.url + path)

    export()

    assert receiver.paths == [path]


def test_headers_and_compression_of_traces_win(
    environment: Set, export: Callable[[], int], receiver: Receiver
) -> None:
    environment(
        TRACES_ENDPOINT=receiver.url,
        HEADERS="X-Tenant=general,X-General=1",
        TRACES_HEADERS="X-Tenant=traces",
        COMPRESSION="none",
        TRACES_COMPRESSION="gzip",
    )

    export()

    headers, body = receiver.received[0]
    assert headers["x-tenant"] == "traces"
    assert "x-general" not in headers
    assert names(gzip.decompress(body)) == ["span 0"]


def test_the_general_ones_count_where_traces_have_none_of_their_own(
    environment: Set, export: Callable[[], int], receiver: Receiver
) -> None:
    environment(
        TRACES_ENDPOINT=receiver.url,
        HEADERS="X-Tenant=general",
        TRACES_HEADERS="",
        COMPRESSION="gzip",
    )

    export()

    headers, _ = receiver.received[0]
    assert headers["x-tenant"] == "general"
    assert headers["Content-Encoding"] == "gzip"


def test_the_time_out_of_traces_wins_and_is_in_seconds(
    environment: Set, export: Callable[[], int], receiver: Receiver
) -> None:
    receiver.answers = [(503, {}, b"")] * 100
    environment(TRACES_ENDPOINT=receiver.url, TIMEOUT=60, TRACES_TIMEOUT=1)
    started = time.monotonic()

    with pytest.raises(Exception, match="503"):
        export()

    assert 0.3 < time.monotonic() - started < 10


@pytest.mark.parametrize("variable", SPECIFIC, ids=lambda each: each.name)
def test_a_wrong_one_of_traces_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: settings.Variable[object]
) -> None:
    monkeypatch.setenv(variable.name, "no\x01where")

    with pytest.raises(WrongEnvironmentError, match=f"^environment: {variable.name} must "):
        settings.check_environment()


def test_a_wrong_general_one_is_named_by_its_own_name(
    environment: Set, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment(TIMEOUT="soon")

    with pytest.raises(WrongEnvironmentError, match=r"^environment: OTEL_EXPORTER_OTLP_TIMEOUT "):
        settings.OTEL_EXPORTER_OTLP_TRACES_TIMEOUT.read()


@pytest.mark.parametrize("name", ["PROTOCOL", "TRACES_PROTOCOL"])
def test_grpc_without_its_package_is_told_of_the_variable_that_says_it(
    environment: Set, name: str
) -> None:
    environment(**{name: "grpc"})

    with pytest.raises(WrongEnvironmentError, match=f" OTEL_EXPORTER_OTLP_{name} is grpc"):
        exporters.check()


def test_http_for_traces_wins_over_grpc(environment: Set) -> None:
    environment(PROTOCOL="grpc", TRACES_PROTOCOL="http/protobuf")

    exporters.check()

    assert type(exporters.make()) is exporters.OtlpExporter


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Path]]:
    """Makes a certificate for 127.0.0.1 that is its own authority, and its key."""
    folder = tmp_path_factory.mktemp("tls")

    def make(name: str, *key: str) -> tuple[Path, Path]:
        made = folder / f"{name}.crt", folder / f"{name}.key"
        command = [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt"),
            *("ec_paramgen_curve:P-256", *(key or ["-nodes"]), "-days", "1", "-subj", "/CN=test"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
            *("-out", str(made[0]), "-keyout", str(made[1])),
        ]
        subprocess.run(command, check=True, capture_output=True)
        return made

    return make


def test_certificates_of_traces_win(
    environment: Set,
    export: Callable[[], int],
    receiver: Receiver,
    certificate: Callable[..., tuple[Path, Path]],
) -> None:
    """The receiver shows one certificate and asks for another; the general ones fit neither."""
    server, server_key = certificate("server")
    client, client_key = certificate("client")
    other, other_key = certificate("other")
    asking = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(client))
    asking.verify_mode = ssl.CERT_REQUIRED
    asking.load_cert_chain(server, server_key)
    receiver.socket = asking.wrap_socket(receiver.socket, server_side=True)
    environment(
        TRACES_ENDPOINT=receiver.url.replace("http:", "https:"),
        CERTIFICATE=other,
        CLIENT_CERTIFICATE=other,
        CLIENT_KEY=other_key,
        TRACES_CERTIFICATE=server,
        TRACES_CLIENT_CERTIFICATE=client,
        TRACES_CLIENT_KEY=client_key,
    )

    export()

    assert names(receiver.received[0][1]) == ["span 0"]


def test_a_file_without_certificates_stops_the_start(environment: Set, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    environment(ENDPOINT="https://127.0.0.1", TRACES_CERTIFICATE=empty)

    with pytest.raises(WrongEnvironmentError, match="OTLP_TRACES_CERTIFICATE cannot be used"):
        exporters.check()


def test_the_key_of_another_certificate_stops_the_start(
    environment: Set, certificate: Callable[..., tuple[Path, Path]]
) -> None:
    one, _ = certificate("one")
    _, key = certificate("another")
    environment(ENDPOINT="https://127.0.0.1", TRACES_CLIENT_CERTIFICATE=one, CLIENT_KEY=key)

    with pytest.raises(WrongEnvironmentError, match="OTLP_TRACES_CLIENT_CERTIFICATE cannot be"):
        exporters.check()


def test_a_key_with_a_password_stops_the_start_and_asks_nobody(
    environment: Set, certificate: Callable[..., tuple[Path, Path]]
) -> None:
    locked, key = certificate("locked", "-passout", "pass:secret")
    environment(ENDPOINT="https://127.0.0.1", CLIENT_CERTIFICATE=locked, CLIENT_KEY=key)

    with pytest.raises(WrongEnvironmentError, match="OTLP_CLIENT_CERTIFICATE cannot be used"):
        exporters.check()


def test_several_exporters_get_the_same_spans(
    environment: Set,
    monkeypatch: pytest.MonkeyPatch,
    receiver: Receiver,
) -> None:
    environment(ENDPOINT=receiver.url)
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp, console")
    monkeypatch.setenv("LOG_FORMAT", "console")
    with monkeypatch.context() as patched:
        written = io.StringIO()
        patched.setattr(exporters.sys, "stderr", written)
        exporter = exporters.make()
        assert exporter is not None

    assert exporter.export(spans(1)) == 0

    (span,) = receiver.spans
    assert json.loads(written.getvalue())["context"]["span_id"] == f"0x{span.span_id.hex()}"
    exporter._exporters[0].close()  # type: ignore[attr-defined]


def test_console_is_one_record_for_each_span_where_the_log_is_json(
    environment: Set, monkeypatch: pytest.MonkeyPatch, log_lines: Lines
) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    exporter = exporters.make()
    assert exporter is not None
    secret, other = spans(2)
    secret.set_attribute_values["password"] = "sesame"

    assert exporter.export([secret, other]) == 0

    lines = log_lines()
    assert [(line["level"], line["message"]) for line in lines] == [
        ("info", "span span 0"),
        ("info", "span span 1"),
    ]
    assert lines[0]["span"]["context"]["span_id"] == f"0x{secret.span_id.hex()}"
    assert "sesame" not in str(lines)


@pytest.mark.parametrize(
    "value",
    [
        "Bearer sesame",
        "x-key",
        "=sesame",
        "x key=sesame",
        "x-key=sesame%0D%0AX-Other: 1",
        "x-key=sesame%00",
        "x-key=%E2%82%ACsesame",
        "x-k%C3%A9y=sesame",
        "x-key=sesame,sesame",
    ],
)
def test_headers_that_http_cannot_send_stop_the_start_and_are_not_shown(
    environment: Set, caplog: pytest.LogCaptureFixture, value: str
) -> None:
    environment(HEADERS=value)

    with pytest.raises(WrongEnvironmentError) as stopped:
        settings.check_environment()

    assert str(stopped.value).startswith("environment: OTEL_EXPORTER_OTLP_HEADERS must be ")
    assert "sesame" not in str(stopped.value) + caplog.text


def test_headers_are_decoded(
    environment: Set, export: Callable[[], int], receiver: Receiver
) -> None:
    environment(
        TRACES_ENDPOINT=receiver.url,
        HEADERS=" X-List=a%2Cb , authorization=Basic abc==,, x-empty=, x-latin=caf%C3%A9,"
        "content-type=application/x-other",
    )

    export()

    headers, _ = receiver.received[0]
    assert headers["X-List"] == "a,b"
    assert headers["Authorization"] == "Basic abc=="
    assert headers["X-Empty"] == ""
    assert headers["X-Latin"] == "café"
    assert headers.get_all("Content-Type") == ["application/x-other"]


@pytest.mark.servers
@pytest.mark.parametrize(
    ("name", "value", "spans_by"),
    [
        # Read by OpenTelemetry's packages, some of them when they are imported.
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "many", "own"),
        ("OTEL_SPAN_LINK_COUNT_LIMIT", "-1", "sdk"),
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "1.5", "sdk"),
        ("OTEL_PYTHON_TRACER_PROVIDER", "none_such", "own"),
        ("OTEL_PYTHON_METER_PROVIDER", "none_such", "own"),
        ("OTEL_PROPAGATORS", "tracecontext,none_such", "contrib"),
        ("OTEL_PYTHON_DJANGO_EXCLUDED_URLS", "health,(", "contrib"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "no header", "sdk"),
        ("TELEMETRY_SPANS", "both", "both"),
    ],
)
def test_a_wrong_variable_stops_the_start_with_one_line(
    name: str, value: str, spans_by: str
) -> None:
    started = start(**{"TELEMETRY_SPANS": spans_by, name: value})

    assert started.returncode == 1
    (line,) = started.stderr.splitlines()
    assert line.startswith(f"environment: {name} must be ")


@pytest.mark.servers
@pytest.mark.parametrize(
    ("name", "value", "spans_by"),
    [
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "", "sdk"),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "0", "sdk"),
        ("OTEL_PROPAGATORS", "none_such", "own"),
        ("OTEL_PROPAGATORS", "baggage, tracecontext", "contrib"),
        ("OTEL_PROPAGATORS", "none", "contrib"),
        ("OTEL_PYTHON_DJANGO_EXCLUDED_URLS", "(health,metrics)", "contrib"),
        ("OTEL_EXPORTER_JAEGER_TIMEOUT", "soon", "own"),
        ("TELEMETRY_SPANS", " Contrib ", " Contrib "),
    ],
)
def test_an_odd_variable_lets_it_start(name: str, value: str, spans_by: str) -> None:
    started = start(**{"TELEMETRY_SPANS": spans_by, name: value})

    assert (started.returncode, started.stderr) == (0, "")


def start(**variables: str) -> subprocess.CompletedProcess[str]:
    """Set Django up in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", "import django; django.setup()"],
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.telemetry.site.settings",
            "OTEL_TRACES_EXPORTER": "jaeger",
            **variables,
        },
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
