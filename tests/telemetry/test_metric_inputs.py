"""Whatever an application records: the scrape is whole, and nothing is raised."""

from __future__ import annotations

import decimal
import fractions
import itertools
import math
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation
from prometheus_client import (
    REGISTRY,
    Counter,
    Enum,
    Gauge,
    Histogram,
    Info,
    Summary,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from telemetry import runtime
from telemetry.metrics import definitions, exposition, values
from telemetry.metrics.opentelemetry import observe
from telemetry.metrics.text import LONGEST_HELP, LONGEST_LABEL
from testing.servers import poll
from tests.conftest import Sample

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
SCOPE = {"otel_scope_name": "odd", "otel_scope_version": ""}
SURROGATE = "a\ud800b"
REPLACED = "a\ufffdb"

_names = (f"odd_input_{number}" for number in itertools.count())


@pytest.fixture
def name() -> str:
    return next(_names)


@pytest.fixture
def meter(monkeypatch: pytest.MonkeyPatch) -> metrics.Meter:
    monkeypatch.setattr("telemetry.metrics.opentelemetry._observed", set())
    monkeypatch.setattr("telemetry.metrics.opentelemetry._warned", set())
    return metrics.get_meter("odd")


@pytest.fixture(autouse=True, scope="module")
def _every_scrape_is_whole() -> Iterator[None]:
    """Both formats can be read, with all that the tests left, and every metric of telemetry."""
    yield
    text = exposition.scrape().body.decode()
    names = {family.name for family in parse(text)}
    assert {definition.family for definition in definitions.DEFINITIONS} <= names
    # prometheus_client writes a counter's NaN, as we do, and its parser refuses it.
    openmetrics = exposition.scrape(OPENMETRICS).body.decode().replace(" NaN", " 0.0")
    assert list(parse_openmetrics(openmetrics))


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (SURROGATE, REPLACED),
        ("\udcff", "\ufffd"),
        ("nul\0nul", "nul\ufffdnul"),
        ("new\nline", "new\nline"),
        ('quo"te\\', 'quo"te\\'),
        ("cr\r\u2028\x85", "cr\r\u2028\x85"),
        ("x" * 1_000_000, "x" * (LONGEST_LABEL - 1) + "\u2026"),
        ("\U0001f600", "\U0001f600"),
    ],
)
def test_a_label_value_of_any_text(sample: Sample, name: str, given: str, shown: str) -> None:
    Counter(f"{name}_total", "Odd.", ["value"]).labels(given).inc()
    definitions.ERRORS.child(given, "none").inc()
    metrics.get_meter("odd").create_counter(f"{name}.otel").add(1, {"value": given})

    assert sample(f"{name}_total", value=shown) == 1
    assert sample(f"{name}_otel_total", **SCOPE, value=shown) == 1
    assert sample("errors_total", type=shown, endpoint="none") >= 1


def test_long_label_values_share_what_is_kept_of_them(sample: Sample, name: str) -> None:
    pages = Counter(f"{name}_total", "Odd.", ["page"])
    for ending in range(20):
        pages.labels("x" * 1_000_000 + str(ending)).inc()

    assert sample(f"{name}_total", page="x" * (LONGEST_LABEL - 1) + "\u2026") == 20


def test_help_texts_of_any_kind(meter: metrics.Meter, name: str) -> None:
    for number, documentation in enumerate([SURROGATE, "nul\0", "line\nline", "h" * 100_000]):
        Counter(f"{name}_{number}_total", documentation).inc()
        meter.create_counter(f"{name}.otel{number}", description=documentation).add(1)
    meter.create_counter(f"{name}.none", description=None).add(1)  # type: ignore[arg-type]
    meter.create_counter(f"{name}.seven", unit=7, description=7).add(1)  # type: ignore[arg-type]

    text = exposition.scrape().body.decode()
    assert f"# HELP {name}_0_total {REPLACED}\n" in text
    assert max(len(line) for line in text.splitlines() if name in line) <= LONGEST_HELP + 100


def test_exemplars_of_any_text(name: str) -> None:
    counter = Counter(f"{name}_total", "Odd.")
    counter.inc(1, exemplar={"trace_id": SURROGATE})
    histogram = Histogram(f"{name}_seconds", "Odd.", buckets=(1, 2))
    histogram.observe(1.5, exemplar={"trace_id": "line\nline"})
    histogram.observe(fractions.Fraction(1, 2), exemplar={"trace_id": "x"})  # type: ignore[arg-type]

    families = parse_openmetrics(exposition.scrape(OPENMETRICS).body.decode())
    found = {
        sample.exemplar.labels["trace_id"]
        for family in families
        for sample in family.samples
        if sample.exemplar and family.name.startswith(name)
    }
    assert found == {REPLACED, "line\nline", "x"}


def test_a_record_that_is_too_long_costs_its_own_series(sample: Sample, name: str) -> None:
    labels = [f"label_{number}" for number in range(1000)]
    many = Counter(f"{name}_total", "Odd.", labels)
    many.labels(*["\u20ac" * 1000 for _ in labels]).inc()
    Counter(f"{name}_after_total", "Odd.").inc()

    assert sample(f"{name}_after_total") == 1


def test_a_value_with_a_name_of_its_own_costs_nothing_else(sample: Sample, name: str) -> None:
    """As a metric class of somebody else's might make it."""
    value = values.SlotValue("counter", name, "elsewhere_total", (), (), "Odd.")
    value.inc(3)
    Counter(f"{name}_after_total", "Odd.").inc()

    assert sample(f"{name}_elsewhere_total") == 3
    assert sample(f"{name}_after_total") == 1


def test_a_collector_with_odd_families_costs_only_those(name: str) -> None:
    class Odd:
        def collect(self) -> Iterable[GaugeMetricFamily]:
            yield GaugeMetricFamily(f"{name}_surrogate", SURROGATE, value=1)
            yield GaugeMetricFamily(f"{name}_no_number", "Odd.", value="x")  # type: ignore[arg-type]
            yield GaugeMetricFamily(f"{name}_right", "Right.", value=1)

    odd = Odd()
    REGISTRY.register(odd)
    try:
        text = exposition.scrape().body.decode()
    finally:
        REGISTRY.unregister(odd)

    assert f"\n{name}_right 1.0\n" in text
    assert f"# HELP {name}_surrogate {REPLACED}\n" in text
    assert f"{name}_no_number" not in text


@pytest.mark.parametrize("read", [exposition.scrape, lambda: generate_latest(REGISTRY)])
def test_odd_texts_of_what_is_computed_at_the_scrape(name: str, read: Callable[[], Any]) -> None:
    """``/metrics`` and a project's own view."""
    info = Info(name, "Odd.")
    info.info({"build": SURROGATE})
    states = Enum(f"{name}_state", "Odd.", states=[SURROGATE, "b"])
    asked = Gauge(f"{name}_asked", "Odd.", ["page"])
    asked.labels(SURROGATE).set_function(lambda: 3)
    fails = Gauge(f"{name}_fails", "Odd.", ["page"])
    fails.labels("a").set_function(lambda: 1 / 0)
    fails.labels("b").set_function(lambda: 5)
    try:
        found = read()
    finally:
        for metric in (info, states, asked, fails):
            REGISTRY.unregister(metric)

    text = (found if isinstance(found, bytes) else found.body).decode()
    assert f'{name}_info{{build="{REPLACED}"}} 1.0\n' in text
    assert f'{name}_state{{{name}_state="{REPLACED}"}} 1.0\n' in text
    assert f'{name}_asked{{page="{REPLACED}"}} 3.0\n' in text
    # It is not shown as 0, which is what its slots hold.
    assert f"{name}_fails" not in text
    assert "http_requests_total" in text


def test_what_is_no_number_as_prometheus_client_has_it(name: str) -> None:
    before = shown("telemetry_store_unreadable_total")
    counter = Counter(f"{name}_total", "Odd.")
    counter.inc(100)
    counter.inc(math.nan)
    endless = Counter(f"{name}_endless_total", "Odd.")
    endless.inc(math.inf)
    endless.inc(1)
    gauge = Gauge(f"{name}_gauge", "Odd.", multiprocess_mode="livesum")
    gauge.set(math.nan)
    highest = Gauge(f"{name}_highest", "Odd.", multiprocess_mode="livemax")
    highest.set(math.nan)
    unset = Gauge(f"{name}_again", "Odd.", multiprocess_mode="livesum")
    unset.set(math.nan)
    unset.set(3)
    histogram = Histogram(f"{name}_histogram", "Odd.", buckets=(1, 2))
    histogram.observe(1)
    histogram.observe(math.nan)
    summary = Summary(f"{name}_summary", "Odd.")
    summary.observe(-math.inf)
    summary.observe(math.inf)

    assert math.isnan(shown(f"{name}_total"))
    assert shown(f"{name}_endless_total") == math.inf
    assert math.isnan(shown(f"{name}_gauge"))
    assert math.isnan(shown(f"{name}_highest"))
    assert shown(f"{name}_again") == 3
    assert math.isnan(shown(f"{name}_histogram_sum"))
    assert shown(f"{name}_histogram_count") == 1
    assert shown(f"{name}_summary_count") == 2
    assert math.isnan(shown(f"{name}_summary_sum"))
    assert shown("telemetry_store_unreadable_total") == before
    assert math.isnan(counter._value.get())


def shown(name: str) -> float:
    for family in parse(exposition.scrape().body.decode()):
        for found in family.samples:
            if found.name == name:
                return found.value
    raise AssertionError(name)


class Hostile:
    def __str__(self) -> str:
        raise RuntimeError("no text")

    def __hash__(self) -> int:
        raise RuntimeError("no hash")


class WithoutTruth(dict[str, Any]):
    """As numpy's arrays and pandas' frames, which are neither true nor false."""

    def __bool__(self) -> bool:
        raise ValueError("no truth value")


class WithoutLength:
    def __len__(self) -> int:
        raise RuntimeError("no length")


@pytest.mark.parametrize(
    "attributes",
    [
        {"a": 1, 2: "b", None: "c", ("d",): "e"},
        WithoutTruth(a=1),
        WithoutLength(),
        {"a": [1, {"b": 2}]},
        {"a": Hostile()},
        {"a": b"bytes"},
        {f"key{number}": "x" * 5000 for number in range(10_000)},
        {"__name__": "x", "le": "y", "otel_scope_name": "z", "": "n", "\0": "m", SURROGATE: "o"},
        ["no", "mapping"],
        42,
    ],
)
def test_attributes_of_any_kind(
    meter: metrics.Meter, name: str, attributes: Any, caplog: pytest.LogCaptureFixture
) -> None:
    for made in (
        meter.create_counter(f"{name}.counter").add,
        meter.create_up_down_counter(f"{name}.updown").add,
        meter.create_gauge(f"{name}.gauge").set,
        meter.create_histogram(f"{name}.histogram").record,
    ):
        for _ in range(3):
            made(1, attributes)

    text = exposition.scrape().body.decode()
    totals = [family for family in parse(text) if family.name == f"{name}_counter"]
    assert sum(found.value for found in totals[0].samples) == 3
    # One for each instrument at most.
    assert len(caplog.records) <= 4


def test_values_that_are_equal_and_look_different_are_different_labels(
    meter: metrics.Meter, name: str, sample: Sample
) -> None:
    counter = meter.create_counter(name)
    for value in (1, True, 1.0):
        counter.add(1, {"value": value})

    assert [sample(f"{name}_total", **SCOPE, value=text) for text in ("1", "true", "1.0")] == [
        1
    ] * 3


def test_amounts_of_any_kind(
    meter: metrics.Meter, name: str, sample: Sample, caplog: pytest.LogCaptureFixture
) -> None:
    counter = meter.create_counter(f"{name}.counter")
    histogram = meter.create_histogram(f"{name}.histogram")
    gauge = meter.create_gauge(f"{name}.gauge")
    before = sample("telemetry_observations_dropped_total", reason="invalid")
    refused: list[Any] = [None, "abc", [], 10**400, -1, math.nan, math.inf, Hostile()]
    for amount in (decimal.Decimal("1.5"), fractions.Fraction(1, 2), True, "2", *refused):
        counter.add(amount)  # type: ignore[arg-type]
        histogram.record(amount)  # type: ignore[arg-type]
    gauge.set(math.nan)

    assert sample(f"{name}_counter_total", **SCOPE) == 5
    assert sample(f"{name}_histogram_sum", **SCOPE) == 5
    assert sample(f"{name}_histogram_count", **SCOPE) == 4
    assert math.isnan(sample(f"{name}_gauge", **SCOPE))
    lost = sample("telemetry_observations_dropped_total", reason="invalid") - before
    assert lost == 2 * len(refused)
    # No number, and negative or not finite: told once for each instrument.
    assert len(caplog.records) == 4


@pytest.mark.parametrize(
    "odd",
    [
        "", "_total", "___", "\0", "...", None, 7, b"bytes", "n" * 300, Hostile(),
        "http_requests", "http.requests.total", "errors_total", "http_request_duration_seconds_sum",
    ],
)  # fmt: skip
def test_instruments_of_any_name(
    meter: metrics.Meter, odd: Any, sample: Sample, caplog: pytest.LogCaptureFixture
) -> None:
    before = exposition.scrape().body.decode().count("# TYPE")
    for _ in range(2):
        meter.create_counter(odd).add(1)
    meter.create_histogram(odd).record(1)
    meter.create_observable_gauge(odd, [lambda _options: [Observation(1)]])
    observe()

    if isinstance(odd, str):
        assert len(caplog.records) == 1
        assert exposition.scrape().body.decode().count("# TYPE") == before


def test_one_name_for_two_kinds_shows_the_first(
    meter: metrics.Meter, name: str, sample: Sample, caplog: pytest.LogCaptureFixture
) -> None:
    meter.create_histogram(name).record(1)
    meter.create_counter(f"{name}.count").add(1)
    meter.create_up_down_counter(f"{name}.count").add(5)
    meter.create_gauge(name).set(7)

    assert sample(f"{name}_count", **SCOPE) == 1
    assert len(caplog.records) == 2


def test_a_metric_that_comes_after_an_instrument_of_its_name(
    meter: metrics.Meter, name: str, sample: Sample
) -> None:
    early = meter.create_counter(name)
    early.add(1, {"when": "before"})
    Gauge(name, "Odd.", multiprocess_mode="livesum").set(7)

    early.add(1, {"when": "after"})

    assert sample(f"{name}_total", **SCOPE, when="after") == 0


def test_boundaries_and_callbacks_of_any_kind(
    meter: metrics.Meter, name: str, sample: Sample, caplog: pytest.LogCaptureFixture
) -> None:
    def endless(_options: CallbackOptions) -> Iterable[Any]:
        yield None
        yield Observation("x")  # type: ignore[arg-type]
        yield Observation(3, {1: "a", "b": 2})  # type: ignore[dict-item]
        while True:
            yield Observation(4, {"b": 2})

    def leaves(_options: CallbackOptions) -> Iterable[Observation]:
        raise SystemExit(3)

    for number, bounds in enumerate([["a"], [math.nan], [1, 1, 0.5, math.inf], 7, [10**400]]):
        odd: Any = bounds
        histogram = meter.create_histogram(
            f"{name}.{number}", explicit_bucket_boundaries_advisory=odd
        )
        histogram.record(0.7)
    given: Any
    for number, given in enumerate([endless, [leaves, None, endless], 7, iter(())]):
        meter.create_observable_gauge(f"{name}.observed{number}", given)

    for _ in range(2):
        observe()

    assert sample(f"{name}_2_bucket", **SCOPE, le="1.0") == 1
    assert sample(f"{name}_2_bucket", **SCOPE, le="0.5") == 0
    assert sample(f"{name}_observed1", **SCOPE, b="2") == 4
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == len(set(told))


def test_a_callback_that_never_returns_holds_nothing_else_up(
    meter: metrics.Meter, name: str, sample: Sample, caplog: pytest.LogCaptureFixture
) -> None:
    returns = threading.Event()

    def waits(_options: CallbackOptions) -> Iterable[Observation]:
        returns.wait(20)
        yield Observation(7)

    meter.create_observable_gauge(name, [waits])

    for _ in range(3):
        runtime.ask_observed_instruments()

    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert sample(name, **SCOPE) == 0

    returns.set()
    poll(lambda: sample(name, **SCOPE) == 7, 10, "what it observed is missing")


def test_names_made_of_data_are_bounded(
    meter: metrics.Meter, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("telemetry.metrics.opentelemetry._taken", {})
    monkeypatch.setattr("telemetry.metrics.opentelemetry._MOST_INSTRUMENTS", 30)
    for number in range(100):
        meter.create_up_down_counter(f"{name}.{number}").add(1)

    assert exposition.scrape().body.decode().count(f"# TYPE {name}_") == 30
