"""Instruments of OpenTelemetry's metrics API in the scrape, by its rules for Prometheus."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation

from telemetry.metrics import exposition
from telemetry.metrics.opentelemetry import family_name, observe
from tests.conftest import Sample

SCOPE = {"otel_scope_name": "shop", "otel_scope_version": "1.2"}


@pytest.fixture
def meter(monkeypatch: pytest.MonkeyPatch) -> metrics.Meter:
    # Nobody asks the callbacks of a test when it is over.
    monkeypatch.setattr("telemetry.metrics.opentelemetry._observed", set())
    return metrics.get_meter("shop", "1.2")


@pytest.mark.parametrize(
    ("name", "unit", "gauge", "expected"),
    [
        ("http.server.request.duration", "s", False, "http_server_request_duration_seconds"),
        ("disk.usage", "By", True, "disk_usage_bytes"),
        ("cpu.load", "1", True, "cpu_load_ratio"),
        ("requests", "1", False, "requests"),
        ("queue.length", "{item}", True, "queue_length"),
        ("speed", "m/s", True, "speed_meters_per_second"),
        ("sent_bytes", "By", False, "sent_bytes"),
        ("orders_total", "", False, "orders"),
        ("3d--prints", "", False, "_3d_prints"),
        ("odd", "furlongs", True, "odd_furlongs"),
    ],
)
def test_names(name: str, unit: str, gauge: bool, expected: str) -> None:
    assert family_name(name, unit, gauge=gauge) == expected


def test_a_counter_counts_and_never_falls(meter: metrics.Meter, sample: Sample) -> None:
    orders = meter.create_counter("orders", description="Orders.")
    before = sample("orders_total", **SCOPE, paid="true", shop_id="7")

    orders.add(2, {"shop.id": 7, "paid": True})
    orders.add(-1, {"shop.id": 7, "paid": True})
    meter.create_counter("Orders").add(1, {"paid": True, "shop.id": 7})

    assert sample("orders_total", **SCOPE, paid="true", shop_id="7") == before + 3


def test_what_goes_up_and_down(meter: metrics.Meter, sample: Sample) -> None:
    waiting = meter.create_up_down_counter("waiting")
    waiting.add(5)
    waiting.add(-2)
    meter.create_gauge("depth", unit="m").set(1.5, {"lake": "a"})

    assert sample("waiting", **SCOPE) == 3
    assert sample("depth_meters", **SCOPE, lake="a") == 1.5


def test_attributes_that_prometheus_keeps_for_itself(meter: metrics.Meter, sample: Sample) -> None:
    """One duplicate label would cost the whole scrape."""
    heights = meter.create_histogram("height", explicit_bucket_boundaries_advisory=[1.0])
    heights.record(0.5, {"le": "mine", "__name__": "mine", "": "none", "2nd": "b", "a:b": "c"})

    labels = {"exported_le": "mine", "_name__": "mine", "_": "none", "_2nd": "b", "a_b": "c"}
    assert sample("height_count", **SCOPE, **labels) == 1


def test_a_metric_without_a_description_has_help(meter: metrics.Meter) -> None:
    meter.create_counter("undescribed").add(1)

    text = exposition.scrape().body.decode()
    assert "# HELP undescribed_total OpenTelemetry's instrument undescribed.\n" in text


def test_a_histogram(meter: metrics.Meter, sample: Sample) -> None:
    sizes = meter.create_histogram(
        "size", unit="By", explicit_bucket_boundaries_advisory=[10.0, 100.0]
    )
    for size in (5, 10, 50, 5000):
        sizes.record(size)

    assert sample("size_bytes_bucket", **SCOPE, le="10.0") == 2
    assert sample("size_bytes_bucket", **SCOPE, le="100.0") == 3
    assert sample("size_bytes_count", **SCOPE) == 4
    assert sample("size_bytes_sum", **SCOPE) == 5065


def test_observed_instruments_ask_their_callbacks(meter: metrics.Meter, sample: Sample) -> None:
    def fails(_options: CallbackOptions) -> Iterable[Observation]:
        raise OSError("no disk")

    def free(_options: CallbackOptions) -> Iterable[Observation]:
        yield Observation(7, {"disk": "a"})

    meter.create_observable_gauge("free", [fails, free], unit="By")
    meter.create_observable_counter("reads", [lambda _options: [Observation(40)]])
    meter.create_observable_up_down_counter("open", [lambda _options: [Observation(3)]])

    observe()

    assert sample("free_bytes", **SCOPE, disk="a") == 7
    assert sample("reads_total", **SCOPE) == 40
    assert sample("open", **SCOPE) == 3


def test_attributes_that_become_one_label_are_joined(meter: metrics.Meter, sample: Sample) -> None:
    meter.create_counter("joined").add(1, {"a.b": "1", "a_b": "2", "list": [1, 2]})

    assert sample("joined_total", **SCOPE, a_b="1;2", list="[1, 2]") == 1
