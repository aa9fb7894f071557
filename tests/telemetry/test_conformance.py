"""Our spans beside those of OpenTelemetry's Django and psycopg packages, for the same requests.

``docs/conformance.md`` lists every difference with its reason; a difference that is not in the
table, or one in the table that is gone, fails here.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import Any

import pytest

from testing.servers import ROOT

pytestmark = pytest.mark.servers

Told = dict[str, list[dict[str, Any]]]


def spans(settings: str, database: str, *what: str) -> Told:
    done = subprocess.run(
        [sys.executable, "-m", "tests.telemetry.conformance", *what],
        cwd=ROOT,
        env={
            **os.environ,
            "DATABASE_URL": database,
            "DJANGO_SETTINGS_MODULE": f"tests.telemetry.site.{settings}",
            "DJANGO_ALLOWED_HOSTS": "*",
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_SEMCONV_STABILITY_OPT_IN": "http,database",
            "PROMETHEUS_PORT": "0",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told: Told = json.loads(done.stdout.splitlines()[-1])
    return told


@pytest.fixture(scope="module")
def ours(servers_database: str) -> Told:
    return spans("settings", servers_database)


@pytest.fixture(scope="module")
def theirs(servers_database: str) -> Told:
    return spans("reference", servers_database)


def differences(ours: Told, theirs: Told) -> set[str]:
    found = set()
    for request in ours:
        for kind, name in (("SERVER", "server"), ("CLIENT", "statement")):
            own = [span for span in ours[request] if span["kind"] == kind]
            their = [span for span in theirs[request] if span["kind"] == kind]
            if own and not their:
                found.add(f"{request}: {name} span only ours")
            if their and not own:
                found.add(f"{request}: {name} span only theirs")
            for one, other in zip(own, their, strict=False):
                found |= {f"{name} span: {what}" for what in compared(one, other)}
    return found


def compared(own: dict[str, Any], their: dict[str, Any]) -> set[str]:
    found = {f"{what} differs" for what in ("name", "status", "events") if own[what] != their[what]}
    if (own["parent"] is None) != (their["parent"] is None):
        found.add("parent differs")
    for key in own["attributes"].keys() | their["attributes"].keys():
        if key not in their["attributes"]:
            found.add(f"`{key}` only ours")
        elif key not in own["attributes"]:
            found.add(f"`{key}` only theirs")
        elif own["attributes"][key] != their["attributes"][key]:
            found.add(f"`{key}` differs")
    return found


def test_every_difference_is_in_the_table_with_its_reason(ours: Told, theirs: Told) -> None:
    text = (ROOT / "docs/conformance.md").read_text()
    table = dict(re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", text, re.MULTILINE))
    listed = table.keys() - {"difference", "---"}

    assert differences(ours, theirs) == listed
    assert all(len(reason) > 20 for what, reason in table.items() if what in listed)


def test_each_request_has_one_server_span_and_its_statements_below(ours: Told) -> None:
    for request, found in ours.items():
        (server,) = [span for span in found if span["kind"] == "SERVER"]
        assert server["parent"] is None, request
        for statement in found:
            assert statement is server or statement["parent"] == server["name"]


def test_beside_their_instrumentation_ours_makes_no_second_span(
    servers_database: str, theirs: Told
) -> None:
    beside = spans("contrib", servers_database)

    for request, alone in theirs.items():
        if request == "async view":
            # Their middleware is for sync handlers alone: the span is ours.
            continue
        found = beside[request]
        assert [span["name"] for span in found] == [span["name"] for span in alone], request
        (server,) = [span for span in found if span["kind"] == "SERVER"]
        ids = {span["attributes"]["correlation_id"] for span in found}
        assert len(ids) == 1
        if request != "404 of no route":
            assert server["attributes"]["http.route"].startswith("/")
