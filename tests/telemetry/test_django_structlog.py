"""django-structlog's middleware beside ours: its lines and ours, of one request."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.test import AsyncClient, Client

from tests.conftest import Lines, Sample

pytestmark = [pytest.mark.urls("tests.telemetry.site.urls"), pytest.mark.django_db]


@pytest.fixture(autouse=True)
def _both(settings: Any) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django_structlog.middlewares.RequestMiddleware"]


def by_logger(lines: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        found.setdefault(line["logger"], []).append(line)
    return found


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_its_lines_have_the_ids_of_our_one_line(log_lines: Lines, kind: str) -> None:
    if kind == "sync":
        response = Client().get("/hello/")
    else:
        response = async_to_sync(AsyncClient().get)("/async/7/")

    lines = by_logger(log_lines())
    (ours,) = lines["telemetry.request"]
    theirs = lines["django_structlog.middlewares.request"]
    assert [line["message"] for line in theirs] == ["request_started", "request_finished"]
    assert (ours["status"], theirs[-1]["code"]) == (200, 200)
    ids = {(line["correlation_id"], line["trace_id"]) for line in [ours, *theirs]}
    assert ids == {(response["X-Correlation-ID"], ours["trace_id"])}


def test_its_context_is_on_the_lines_of_the_view(log_lines: Lines) -> None:
    Client().get("/hello/")

    lines = by_logger(log_lines())
    (inside,) = lines["tests.site"]
    assert inside["request_id"] == lines["django_structlog.middlewares.request"][0]["request_id"]


@pytest.mark.parametrize("path", ["/fail/", "/fail-async/"])
def test_an_exception_is_an_error_of_ours_once(log_lines: Lines, sample: Sample, path: str) -> None:
    labels = {"type": "RuntimeError", "endpoint": path}
    before = sample("errors_total", **labels)

    Client(raise_request_exception=False).get(path)

    assert sample("errors_total", **labels) == before + 1
    lines = by_logger(log_lines())
    (ours,) = lines["telemetry.request"]
    assert (ours["status"], ours["exception"]["message"]) == (500, "it broke")
    assert [line["message"] for line in lines["django_structlog.middlewares.request"]] == [
        "request_started",
        "request_failed",
    ]


def test_nothing_of_one_request_is_left_for_the_next(log_lines: Lines) -> None:
    Client().get("/hello/")
    Client().get("/hello/")

    first, second = by_logger(log_lines())["tests.site"]
    assert first["request_id"] != second["request_id"]
