"""The examples of docs/telemetry.md, run as they stand there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client
from opentelemetry import trace
from sentry_sdk.integrations.opentelemetry import SentrySpanProcessor

import telemetry
from testing.servers import ROOT
from tests.conftest import Lines, Sample, Spans

DOCS = (ROOT / "docs/telemetry.md").read_text()
EXAMPLES = dict(re.findall(r"(?ms)^### ([^\n]+)\n\n```python\n(.*?)```", DOCS))
FILE = SimpleNamespace(name="may.csv")


def run(heading: str) -> dict[str, Any]:
    """The names that an example makes."""
    made: dict[str, Any] = {"__name__": "shop.imports"}
    exec(EXAMPLES[heading], made)
    return made


def test_add_a_counter(sample: Sample) -> None:
    example = run("Add a counter")

    example["import_file"](FILE)

    assert sample("imports_total", kind="csv") == 1
    assert '`imports_total{kind="csv"} 1.0`' in DOCS


def test_add_a_span(spans: Spans) -> None:
    run("Add a span")["import_file"](FILE)

    parse, whole = spans()
    assert (parse.name, whole.name) == ("parse", "import file")
    assert parse.parent is not None
    assert parse.parent.span_id == whole.context.span_id
    assert dict(parse.attributes or {})["app.rows"] == 3


def test_add_a_log_field(log_lines: Lines, spans: Spans) -> None:
    import_file = run("Add a log field")["import_file"]

    telemetry.traced("work")(import_file)(FILE)

    line, last = log_lines()
    assert (line["logger"], line["message"], line["rows"]) == ("shop.imports", "imported", 3)
    assert line["file_name"] == last["file_name"] == "may.csv"
    assert "rows" not in last
    (span,) = spans()
    assert dict(span.attributes or {})["app.file_name"] == "may.csv"


WRITING = """
import logging
import django
from django.conf import settings
import telemetry

settings.configure(INSTALLED_APPS=["telemetry"], LOGGING_CONFIG=None, LOGGING=LOGGING)
django.setup()
telemetry.get_logger("shop").info("of the shop", password="hunter2", rows=3)
logging.getLogger("else").error("of somebody else, password=hunter2")
"""


def test_write_lines_to_a_file(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-c", EXAMPLES["Write lines to a file"] + WRITING],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OTEL_TRACES_EXPORTER": "none"},
        check=True,
    )

    shop, other = map(json.loads, (tmp_path / "shop.log").read_text().splitlines())
    assert (shop["message"], shop["password"], shop["rows"]) == ("of the shop", "***", 3)
    assert (other["level"], other["message"]) == ("error", "of somebody else, password=***")


def test_add_a_span_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    provider: Any = trace.get_tracer_provider()
    ended: list[str] = []
    monkeypatch.setattr(SentrySpanProcessor, "on_end", lambda _self, span: ended.append(span.name))

    run("Add a span processor")["ShopConfig"]("shop", telemetry).ready()
    try:
        telemetry.get_tracer().start_span("for Sentry").end()
    finally:
        provider.shut_processors_down()

    assert ended == ["for Sentry"]


@pytest.mark.django_db
@pytest.mark.urls("tests.telemetry.site.urls")
def test_forbid_repeated_statements_in_a_test(client: Client) -> None:
    test = run("Forbid repeated statements in a test")["test_the_list"]

    test(SimpleNamespace(get=lambda _path: client.get("/query/")))
    with pytest.raises(AssertionError, match="20 times: SELECT"):
        test(SimpleNamespace(get=lambda _path: client.get("/repeated/")))


def test_every_example_is_run_by_a_test_here() -> None:
    assert {f"test_{heading.lower().replace(' ', '_')}" for heading in EXAMPLES} <= set(globals())


def test_every_python_block_stands_below_a_heading_of_its_own_or_is_the_setup() -> None:
    blocks = re.findall(r"```python\n(.*?)```", DOCS, re.DOTALL)

    # The lines of the setup are run by test_package.
    assert sorted(blocks[1:]) == sorted(EXAMPLES.values())
