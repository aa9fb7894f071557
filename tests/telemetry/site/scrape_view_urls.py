"""A project that had a scrape view of its own before telemetry came."""

from __future__ import annotations

import os

from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from django_prometheus.exports import ExportToDjangoView
from prometheus_client import REGISTRY, Counter, Gauge, Histogram, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics


def count(request: HttpRequest) -> HttpResponse:
    hits.labels(request.GET["page"]).inc(exemplar={"trace_id": "of-a-worker"})
    sizes.observe(float(request.GET.get("size", 1)))
    highest.set(7)
    return HttpResponse(str(os.getpid()))


def remove(request: HttpRequest) -> HttpResponse:
    hits.clear()
    return HttpResponse(str(os.getpid()))


def latest(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(generate_latest(REGISTRY))


def openmetrics(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(generate_openmetrics(REGISTRY))


def restricted(request: HttpRequest) -> HttpResponse:
    return HttpResponse(generate_latest(REGISTRY.restricted_registry(request.GET.getlist("name"))))


hits = Counter("their_hits_total", "Hits.", ["page"])
sizes = Histogram("their_sizes", "Sizes.", buckets=(1, 10))
highest = Gauge("their_highest", "Highest.", multiprocess_mode="livemax")

urlpatterns = [
    path("count/", count),
    path("remove/", remove),
    path("theirs/", ExportToDjangoView),
    path("latest/", latest),
    path("openmetrics/", openmetrics),
    path("restricted/", restricted),
    path("", include("tests.telemetry.site.urls")),
]
