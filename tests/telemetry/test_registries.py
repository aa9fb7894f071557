"""Metrics that come and go, in one registry or another: as prometheus_client has it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, Summary
from prometheus_client.exposition import generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from telemetry.metrics import exposition
from telemetry.metrics.directory import Series
from telemetry.metrics.slots import store
from testing.servers import Server, gunicorn, poll
from tests.conftest import samples
from tests.telemetry.test_metric_store import Instance, add, killed

_names = (f"come_and_go_{number}" for number in itertools.count())


@pytest.fixture
def name() -> str:
    return next(_names)


def scraped(name: str) -> dict[str, float]:
    """What the scrape and the default registry show of a metric, which is the same."""
    found = of(name, exposition.scrape().body.decode())
    assert of(name, generate_latest(REGISTRY).decode()) == found
    return found


def of(name: str, text: str) -> dict[str, float]:
    return {
        "".join(
            [found.removeprefix(name), *(f" {key}={value}" for key, value in sorted(labels))]
        ): value
        for (found, labels), value in samples(text).items()
        if found.startswith(name)
    }


def test_one_name_in_several_registries_is_several_metrics(name: str) -> None:
    first, second = CollectorRegistry(), CollectorRegistry()
    counters = [Counter(name, "Odd.", registry=registry) for registry in (first, second, None)]
    shown = Counter(name, "Odd.")
    for number, counter in enumerate([*counters, shown], 1):
        counter.inc(number)

    assert scraped(name) == {"_total": 4}
    assert first.get_sample_value(f"{name}_total") == 1
    assert second.get_sample_value(f"{name}_total") == 2


def test_one_name_for_different_things_in_different_registries(name: str) -> None:
    other = CollectorRegistry()
    kept = [
        Gauge(name, "Odd.", ["a"], registry=other),
        Histogram(name, "Odd.", buckets=(1, 2), registry=CollectorRegistry()),
    ]
    kept[0].labels("x").set(5)
    Histogram(name, "Odd.", buckets=(3, 4)).observe(3.5)

    assert scraped(name) == {
        "_bucket le=3.0": 0, "_bucket le=4.0": 1, "_bucket le=+Inf": 1, "_count": 1, "_sum": 3.5,
    }  # fmt: skip
    assert other.get_sample_value(name, {"a": "x"}) == 5


def test_a_metric_of_no_default_registry_is_shown_as_in_multiprocess_mode(name: str) -> None:
    counter = Counter(name, "Odd.", registry=None)
    counter.inc(3)

    assert of(name, exposition.scrape().body.decode()) == {"_total": 3}


@pytest.mark.parametrize("held", [True, False])
def test_unregister_and_register_again(name: str, held: bool) -> None:
    kept = []
    for number in range(1, 4):
        counter = Counter(name, "Odd.")
        counter.inc(number)
        assert scraped(name) == {"_total": number}
        REGISTRY.unregister(counter)
        assert scraped(name) == {}
        if held:
            kept.append(counter)
        del counter

    gauge = Gauge(name, "Odd.", multiprocess_mode="livemax")
    gauge.set(7)
    assert scraped(name) == {"": 7}
    REGISTRY.unregister(gauge)
    REGISTRY.register(gauge)
    assert scraped(name) == {"": 7}
    REGISTRY.unregister(gauge)
    for one in kept:
        REGISTRY.register(one)
        assert scraped(name) == {"_total": one._value.get()}
        REGISTRY.unregister(one)


@pytest.mark.parametrize("held", [True, False])
@pytest.mark.parametrize("kind", [Counter, Gauge, Histogram, Summary])
def test_remove_then_labels(name: str, kind: type, held: bool) -> None:
    metric = kind(name, "Odd.", ["page"])
    kept = []

    def use(page: str, times: int) -> None:
        child = metric.labels(page)
        for _ in range(times):
            (child.observe if hasattr(child, "observe") else child.inc)(1)
        if held:
            kept.append(child)

    ending = {Counter: "_total", Gauge: ""}.get(kind, "_count")
    for times in (3, 1, 2):
        use("a", times)
        use("b", times)
        shown = scraped(name)
        assert (shown[f"{ending} page=a"], shown[f"{ending} page=b"]) == (times, times)
        metric.remove("a")
        assert {key.rpartition("page=")[2] for key in scraped(name)} == {"b"}
        metric.remove_by_labels({"page": "b"})
        assert scraped(name) == {}
    use("a", 5)
    metric.clear()
    assert scraped(name) == {}
    use("a", 1)
    assert scraped(name)[f"{ending} page=a"] == 1


def test_what_is_removed_and_made_again_takes_no_more_room(name: str) -> None:
    gauge = Gauge(name, "Odd.", ["page"])
    gauge.labels("a").set(1)
    before = store.used, len(store.names)
    for _ in range(1000):
        gauge.remove("a")
        gauge.labels("a").set(1)

    assert (store.used, len(store.names)) == before


def test_a_forked_process_does_not_show_what_its_parent_removed(instance: Instance) -> None:
    series = Series("gone", "counter", "", "Gone.", "_total", ("page",), ("a",))
    slot, listed = instance.store.own_slot(series)
    assert listed
    instance.store.cells[slot] += 5
    instance.process(add(series, 2), end=killed)
    assert instance.value("gone_total", page="a") == 7

    instance.store.free_slot(slot, listed)

    # What exited processes counted stays.
    assert instance.value("gone_total", page="a") == 2


@pytest.fixture
def instance(tmp_path_factory: pytest.TempPathFactory) -> Instance:
    return Instance(tmp_path_factory.mktemp("instance"))


@pytest.fixture(scope="module")
def server(servers_database: str) -> Iterator[Server]:
    started = Server(
        gunicorn("gthread"),
        {
            "DATABASE_URL": servers_database,
            "DJANGO_SETTINGS_MODULE": "tests.telemetry.site.scrape_view",
        },
    )
    yield started
    started.stop()


def test_a_collector_of_all_processes_in_the_default_registry(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each metric is on the page once."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    Counter(f"{name}_total", "Odd.").inc(3)

    collector = MultiProcessCollector(REGISTRY)
    try:
        pages = generate_latest(REGISTRY).decode(), exposition.scrape().body.decode()
    finally:
        REGISTRY.unregister(collector)

    assert [page.count(f"\n{name}_total 3.0\n") for page in pages] == [1, 1]


@pytest.mark.servers
def test_a_scrape_view_that_was_there_shows_what_metrics_shows(server: Server) -> None:
    workers: set[str] = set()

    def both_counted() -> bool:
        workers.add(server.get("/count/?page=a").text)
        return len(workers) == 2

    poll(both_counted, 20, "one worker answered all")
    for _ in range(6):
        server.get("/count/?page=b&size=5")
    views = ["/metrics", "/theirs/", "/latest/"]

    pages = {view: stable(server.get(view).text) for view in views for _ in range(2)}

    assert pages["/theirs/"] == pages["/metrics"]
    # Behind it comes what is in the registry and computed by the process itself.
    assert pages["/latest/"].items() >= pages["/metrics"].items()
    assert pages["/latest/"]["their_hits_total", frozenset({("page", "b")})] == 6
    named = server.get("/restricted/?name=their_hits_total&name=errors_total").text
    assert {name for name, _ in samples(named)} == {"their_hits_total"}
    openmetrics = server.get("/openmetrics/").text
    assert 'their_hits_total{page="a"}' in openmetrics
    assert '# {trace_id="of-a-worker"}' in openmetrics


def stable(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """What requests for the page itself and the passing of time do not change."""
    return {
        key: value
        for key, value in samples(text).items()
        if key[0].startswith(("their_", "build_info", "process_workers", "telemetry_"))
    }


@pytest.mark.servers
def test_what_a_worker_removed_is_gone_from_every_scrape(server: Server) -> None:
    poll(lambda: cleared(server), 20, "a worker kept what it had removed")

    for _ in range(6):
        assert not [key for key in samples(server.scrape()) if key[0] == "their_hits_total"]


def cleared(server: Server) -> bool:
    server.get("/remove/")
    return "their_hits_total{" not in server.scrape()
