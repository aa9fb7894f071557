"""What the tests look at: exported spans, written lines, the text of a scrape."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client.parser import text_string_to_metric_families

from telemetry.logs import pipeline
from telemetry.metrics import exposition
from telemetry.tracing.provider import processor

Spans = Callable[[], list[ReadableSpan]]
Lines = Callable[[], list[dict[str, Any]]]
Sample = Callable[..., float]

_exporter = InMemorySpanExporter()


@pytest.fixture(autouse=True, scope="session")
def _spans_stay_here() -> None:
    processor.use(_exporter)


@pytest.fixture
def spans() -> Spans:
    """Call it for the spans that ended since the test began, oldest first."""
    processor.force_flush()
    _exporter.clear()

    def ended() -> list[ReadableSpan]:
        assert processor.force_flush(5_000)
        return list(_exporter.get_finished_spans())

    return ended


@pytest.fixture
def log_lines() -> Iterator[Lines]:
    """Call it for the JSON lines that were written since the test began."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(pipeline.formatter())
    for added in logging.getLogger().handlers:
        for kept in added.filters:
            handler.addFilter(kept)
    root = logging.getLogger()
    root.addHandler(handler)

    def lines() -> list[dict[str, Any]]:
        return [json.loads(line) for line in written.getvalue().splitlines()]

    yield lines
    root.removeHandler(handler)


def samples(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample of a scrape by its name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture
def sample() -> Sample:
    """``sample("http_requests_total", method="GET", …)``: its value now, 0 where it is absent."""

    def value(name: str, **labels: str) -> float:
        found = samples(exposition.scrape().body.decode())
        return found.get((name, frozenset(labels.items())), 0.0)

    return value
