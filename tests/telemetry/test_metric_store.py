"""The metrics' store with real processes: sums, deaths at any moment, damage, full disks."""

from __future__ import annotations

import os
import random
import resource
import signal
import struct
import subprocess
import threading
import time
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary, values
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from monitoring.tools.build import find
from telemetry import processes
from telemetry.metrics import batch, definitions, folding, slots
from telemetry.metrics.directory import Exemplars, Series, frame_exemplars, frame_series
from telemetry.metrics.exposition import scrape
from telemetry.metrics.folding import fold
from telemetry.metrics.metric import CounterMetric, GaugeMetric, HistogramMetric
from telemetry.metrics.reader import REMAINDER, Reader
from telemetry.metrics.slots import ValueStore
from telemetry.metrics.values import SlotValue, install
from tests.conftest import samples

HITS = Series("hits", "counter", "", "Hits.", "_total", ("page",), ("a",))
TIMES = Series("times", "histogram", "", "Times.", "", (), (), ("0.1", "1.0", "+Inf"))


def own_path(folder: Path) -> Path:
    return folder / f"process-{os.getpid()}-{processes.start_ticks(os.getpid())}"


def gauge(mode: str) -> Series:
    return Series(f"level_{mode}", "gauge", mode, "Level.", "", (), ())


class Instance:
    """A folder, and processes that write to it and end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = ValueStore()
        assert self.store.open(own_path(folder))

    def process(self, work: Callable[[ValueStore], None], *, end: Callable[[], None]) -> int:
        """Fork a process that works and then ends; gives its id once it is dead."""
        pid = os.fork()
        if pid == 0:
            try:
                store = ValueStore()
                store.open(own_path(self.folder))
                work(store)
                end()
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        return pid

    def text(self, *, openmetrics: bool = False, exemplar_age: float = 600) -> str:
        reader = Reader(self.store, self.folder)
        try:
            return reader.read(openmetrics=openmetrics, exemplar_age=exemplar_age)[0]
        finally:
            reader.close()

    def value(self, name: str, **labels: str) -> float:
        return samples(self.text()).get((name, frozenset(labels.items())), 0.0)


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    return Instance(tmp_path)


def add(series: Series, amount: float = 1, offset: int = 0) -> Callable[[ValueStore], None]:
    def work(store: ValueStore) -> None:
        store.cells[store.slot(series) + offset] += amount

    return work


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def nothing() -> None:
    """The process exits by itself."""


def test_counters_keep_what_dead_processes_counted(instance: Instance) -> None:
    add(HITS, 1)(instance.store)
    for _ in range(5):
        instance.process(add(HITS, 2), end=killed)
    assert instance.value("hits_total", page="a") == 11

    fold(instance.folder, instance.store)

    assert instance.value("hits_total", page="a") == 11
    assert sorted(file.suffix for file in instance.folder.glob("process-*")) == [".names", ".slots"]


@pytest.mark.parametrize("last", range(12))
def test_a_folding_process_may_be_killed_at_each_step(instance: Instance, last: int) -> None:
    add(HITS, 1)(instance.store)
    for _ in range(3):
        instance.process(add(HITS, 2), end=killed)
        instance.process(add(TIMES, 1, offset=2), end=nothing)
    fold(instance.folder, instance.store)
    for _ in range(2):
        instance.process(add(HITS, 3), end=killed)
    steps = iter(range(100))

    def step(_name: str) -> None:
        if next(steps) == last:
            killed()

    pid = os.fork()
    if pid == 0:
        folding.step = step
        fold(instance.folder, instance.store)
        os._exit(7)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status) or (last >= 9 and os.waitstatus_to_exitcode(status) == 7)

    assert instance.value("hits_total", page="a") == 13
    fold(instance.folder, instance.store)

    assert instance.value("hits_total", page="a") == 13
    assert instance.value("times_bucket", le="1.0") == 3
    assert len(list(instance.folder.glob("process-*"))) == 2


def test_a_process_killed_in_the_middle_of_writing_loses_at_most_the_write(
    instance: Instance,
) -> None:
    receive, send = os.pipe()
    pid = os.fork()
    if pid == 0:
        store = ValueStore()
        store.open(own_path(instance.folder))
        slot = store.slot(HITS)
        while True:
            store.cells[slot] += 1
            os.write(send, b".")
    counted = len(os.read(receive, 60_000))
    while counted < 20_000:
        counted += len(os.read(receive, 60_000))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.set_blocking(receive, False)
    with suppress(BlockingIOError):
        counted += len(os.read(receive, 1 << 20))
    fold(instance.folder, instance.store)

    assert instance.value("hits_total", page="a") - counted in {0, 1}


def test_a_counter_never_falls_while_processes_die_and_are_folded(instance: Instance) -> None:
    done = threading.Event()
    seen: list[list[float]] = []

    def look() -> None:
        reader = Reader(instance.store, instance.folder)
        mine: list[float] = []
        while not done.is_set():
            found = samples(reader.read(openmetrics=False, exemplar_age=0)[0])
            mine.append(found.get(("hits_total", frozenset({("page", "a")})), 0.0))
        seen.append(mine)

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(40):
        instance.process(add(HITS), end=killed)
        fold(instance.folder, instance.store)
    done.set()
    for thread in threads:
        thread.join()

    assert instance.value("hits_total", page="a") == 40
    for mine in seen:
        assert mine == sorted(mine)


def test_gauges_of_dead_processes_vanish_or_stay_as_their_mode_says(instance: Instance) -> None:
    for mode in ("sum", "max", "min", "livesum", "livemax", "mostrecent"):
        instance.store.cells[instance.store.slot(gauge(mode))] = 5
    level = instance.store.slot(gauge("mostrecent"))
    instance.store.cells[level + 1] = time.time() - 60

    def write(store: ValueStore) -> None:
        for mode in ("sum", "max", "min", "livesum", "livemax", "liveall", "mostrecent"):
            store.cells[store.slot(gauge(mode))] = 7
        store.cells[store.slot(gauge("mostrecent")) + 1] = time.time()

    instance.process(write, end=killed)

    for _ in range(2):
        found = {name: value for (name, _), value in samples(instance.text()).items()}
        assert found == {
            "level_sum": 12,
            "level_max": 7,
            "level_min": 5,
            "level_mostrecent": 7,
            "level_livesum": 5,
            "level_livemax": 5,
        }
        fold(instance.folder, instance.store)


def test_a_forked_child_does_not_write_its_parents_file(instance: Instance) -> None:
    slot = instance.store.slot(HITS)
    level = instance.store.slot(gauge("livemax"))
    instance.store.cells[slot] = 10
    instance.store.cells[level] = -3
    pid = os.fork()
    if pid == 0:
        instance.store.begin_in_child(own_path(instance.folder))
        instance.store.cells[slot] += 1
        signal.pause()
    try:
        wait_for(lambda: instance.value("hits_total", page="a") == 11)
        # What the child has not set is not its 0.
        assert instance.value("level_livemax") == -3
        assert instance.store.cells[slot] == 10
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def wait_for(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_exemplars_of_all_workers_in_openmetrics_only(instance: Instance) -> None:
    def see(trace: str, offset: int) -> Callable[[ValueStore], None]:
        def work(store: ValueStore) -> None:
            slot = store.slot(TIMES) + offset
            store.cells[slot] += 1
            store.set_exemplar(slot, f'trace_id="{trace}"'.encode(), 0.05, time.time())

        return work

    see("a" * 32, 1)(instance.store)
    instance.process(see("b" * 32, 2), end=nothing)
    instance.process(see("c" * 32, 3), end=nothing)
    # One that no longer fits where the first stood.
    see("d" * 100, 3)(instance.store)

    text = instance.text(openmetrics=True)

    families = parse_openmetrics(text + "# EOF\n")
    found = [sample.exemplar for family in families for sample in family.samples]
    assert [one.labels["trace_id"][0] for one in found if one] == ["a", "b", "d"]
    assert "trace_id" not in instance.text()
    assert "trace_id" not in instance.text(openmetrics=True, exemplar_age=-1)


def test_an_exemplar_stays_for_its_time_and_gives_way_to_the_next_trace_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = 1000.0
    monkeypatch.setattr(batch, "monotonic", lambda: clock)
    counter = definitions.HTTP_REQUESTS.child("GET", "/exemplars/", "200")
    histogram = definitions.HTTP_REQUEST_DURATION.child("GET", "/exemplars/")

    def shown() -> str:
        lines = scrape("application/openmetrics-text").body.decode().splitlines()
        (line,) = [each for each in lines if "/exemplars/" in each and "# {" in each]
        return line.partition('trace_id="')[2][:1]

    traces = (("a", 0.0, "a"), ("b", 4.9, "a"), ("c", 0.2, "c"), ("d", 4.9, "c"))
    for trace, later, wanted in traces:
        clock += later
        batch.record([(counter, histogram, 0.05)], trace * 32)
        assert shown() == wanted


def test_a_damaged_file_costs_what_is_behind_the_damage(
    instance: Instance, caplog: pytest.LogCaptureFixture
) -> None:
    add(HITS, 4)(instance.store)

    def write(store: ValueStore) -> None:
        add(HITS, 2)(store)
        damaged_at.append(len(store.names))
        add(HITS._replace(label_values=("b",)), 3)(store)
        Path(f"{store.path}.at").write_text(str(len(store.names)))

    damaged_at: list[int] = []
    instance.process(write, end=nothing)
    names = next(
        file
        for file in instance.folder.glob("*.names")
        if str(os.getpid()) not in file.name.split("-")
    )
    data = bytearray(names.read_bytes())
    data[-10] ^= 0xFF
    names.write_bytes(data)
    reader = Reader(instance.store, instance.folder)
    counted = []
    reader.count_unreadable = lambda: counted.append(1)

    found = [samples(reader.read(openmetrics=False, exemplar_age=0)[0]) for _ in range(3)]

    for one in found:
        assert one == {("hits_total", frozenset({("page", "a")})): 6}
    assert len(counted) == 1
    assert caplog.text.count("cannot be read") == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"family": ["hits"]},
        {"kind": 7},
        {"label_names": "page"},
        {"label_names": ("page", "more")},
        {"label_values": ({"a": 1},)},
        {"label_values": (None,)},
        {"bounds": ("1.0", "wide")},
        {"bounds": ([1],)},
        {"bounds": (1.0,)},
        {"documentation": None},
        {"suffix": "total"},
        {"suffix": "\ud800"},
        {"suffix": "_bucket"},
        {"suffix": "_bucket", "label_names": (), "label_values": ()},
    ],
)
def test_a_record_that_means_nothing_costs_what_is_behind_it(
    instance: Instance, changed: dict[str, Any]
) -> None:
    def write(store: ValueStore) -> None:
        add(HITS, 2)(store)
        store.names += frame_series(HITS._replace(**changed), 258)
        add(HITS._replace(label_values=("c",)), 3)(store)

    instance.process(write, end=nothing)
    reader = Reader(instance.store, instance.folder)
    counted = []
    reader.count_unreadable = lambda: counted.append(1)

    found = [samples(reader.read(openmetrics=False, exemplar_age=0)[0]) for _ in range(2)]

    assert found == [{("hits_total", frozenset({("page", "a")})): 2}] * 2
    assert len(counted) == 1


@pytest.mark.parametrize(
    "absurd",
    [
        frame_series(HITS._replace(label_values=("b",)), 1 << 27),
        frame_series(HITS._replace(label_values=("b",)), 1 << 80),
        frame_exemplars(Exemplars(258, 1 << 27, 6)),
        frame_exemplars(Exemplars(258, 300, 1 << 80)),
    ],
)
def test_an_absurd_slot_costs_its_record_and_no_memory(instance: Instance, absurd: bytes) -> None:
    """1 << 27 slots are 1 GB, which a reader could allocate."""

    def write(store: ValueStore) -> None:
        add(HITS, 2)(store)
        store.names += absurd
        add(HITS._replace(label_values=("c",)), 3)(store)

    instance.process(write, end=nothing)
    reader = Reader(instance.store, instance.folder)
    counted = []
    reader.count_unreadable = lambda: counted.append(1)
    tracemalloc.start()
    try:
        found = [samples(reader.read(openmetrics=False, exemplar_age=0)[0]) for _ in range(3)]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        reader.close()

    for one in found:
        assert {dict(labels)["page"]: value for (_, labels), value in one.items()} == {
            "a": 2,
            "c": 3,
        }
    assert len(counted) == 1
    assert peak < 1_000_000

    fold(instance.folder, instance.store)

    assert instance.value("hits_total", page="a") == 2
    assert instance.value("hits_total", page="c") == 3


def test_a_file_cut_short_reads_as_far_as_it_goes(instance: Instance) -> None:
    add(HITS, 4)(instance.store)
    instance.process(add(HITS, 2), end=nothing)
    for file in instance.folder.glob("*.slots"):
        if str(os.getpid()) not in file.name.split("-"):
            os.truncate(file, 20)

    assert instance.value("hits_total", page="a") == 4


def test_random_bytes_in_any_file_never_stop_the_scrape(instance: Instance) -> None:
    add(HITS, 4)(instance.store)
    source = random.Random(2026)
    for _ in range(60):
        pid = instance.process(add(HITS, 2), end=nothing)
        file = source.choice(list(instance.folder.glob(f"process-{pid}-*")))
        data = bytearray(file.read_bytes())
        for _ in range(source.choice([1, 5, 200])):
            data[source.randrange(min(len(data), 400))] = source.randrange(256)
        file.write_bytes(data[: source.randrange(len(data))] if source.random() < 0.3 else data)
        assert instance.value("hits_total", page="a") >= 4
        fold(instance.folder, instance.store)
    (instance.folder / REMAINDER).write_bytes(source.randbytes(3000))

    assert instance.value("hits_total", page="a") >= 4


def test_a_damaged_exemplar_costs_nothing_but_itself(instance: Instance) -> None:
    source = random.Random(2026)

    def see(store: ValueStore) -> None:
        for number in range(20):
            slot = store.slot(TIMES._replace(**labelled(number))) + 1
            store.cells[slot] += 1
            begin = store.used * 8
            store.set_exemplar(slot, b'trace_id="%032d"' % number, 0.05, time.time())
            for _ in range(source.choice([1, 20])):
                store.raw[source.randrange(begin, store.used * 8)] = source.randrange(256)

    for _ in range(30):
        source.random()
        pid = instance.process(see, end=nothing)
        text = instance.text(openmetrics=True)

        assert list(parse_openmetrics(text + "# EOF\n"))
        for path in instance.folder.glob(f"process-{pid}-*"):
            path.unlink()


def test_half_a_pair_of_files_does_not_stay(instance: Instance) -> None:
    """A process may be killed before it wrote its names."""
    pid = instance.process(add(HITS), end=killed)
    next(instance.folder.glob(f"process-{pid}-*.names")).unlink()
    instance.process(add(HITS), end=killed)

    fold(instance.folder, instance.store)

    assert instance.value("hits_total", page="a") == 1
    assert len(list(instance.folder.glob("process-*"))) == 2


def test_a_folder_that_somebody_removed_costs_the_numbers_of_others(instance: Instance) -> None:
    add(HITS, 4)(instance.store)
    instance.process(add(HITS, 2), end=nothing)
    for file in instance.folder.iterdir():
        file.unlink()
    instance.folder.rmdir()

    add(HITS, 1)(instance.store)
    fold(instance.folder, instance.store)

    assert instance.value("hits_total", page="a") == 5


def test_a_number_that_no_counter_can_have_is_left_out(instance: Instance) -> None:
    """A NaN by itself can be counted; one with a payload comes from a damaged file."""
    add(HITS, 4)(instance.store)
    for damage in (struct.unpack("d", struct.pack("Q", 0x7FF8_0000_0000_1234))[0], -5.0):
        instance.process(add(HITS, damage), end=nothing)

    assert instance.value("hits_total", page="a") == 4


@pytest.mark.parametrize("amount", [float("nan"), float("inf")])
def test_what_is_counted_as_no_number_stays_so_and_is_no_damage(
    instance: Instance, amount: float
) -> None:
    damaged: list[str] = []
    reader = Reader(instance.store, instance.folder)
    reader.count_unreadable = lambda: damaged.append("file")
    add(HITS, 4)(instance.store)
    instance.process(add(HITS, amount), end=killed)
    instance.process(add(TIMES, amount), end=killed)

    for _ in range(2):
        found = samples(reader.read(openmetrics=False, exemplar_age=0)[0])
        assert repr(found["hits_total", frozenset({("page", "a")})]) == repr(amount)
        assert repr(found["times_sum", frozenset()]) == repr(amount)
        fold(instance.folder, instance.store)
    reader.close()
    assert damaged == []


def test_a_full_disk_costs_no_write(tmp_path: Path) -> None:
    """A limit on file sizes stands for the disk: the same error from the same call."""
    pid = os.fork()
    if pid == 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))
        store = ValueStore()
        assert store.open(own_path(tmp_path))
        for number in range(20_000):
            add(HITS._replace(label_values=(str(number),)))(store)
            store.set_exemplar(store.slot(HITS), b'trace_id="x"', 1.0, 1.0)
        none = ValueStore()
        assert not none.open(tmp_path / "missing" / "folder")
        add(HITS)(none)
        os._exit(0)
    _, status = os.waitpid(pid, 0)

    assert os.waitstatus_to_exitcode(status) == 0


def test_past_the_bound_comes_one_overflow_series(instance: Instance) -> None:
    dropped: list[str] = []
    instance.store.series_limit = 3
    instance.store.count_dropped = dropped.append
    for number in range(10):
        add(HITS._replace(label_values=(str(number),)))(instance.store)

    assert instance.value("hits_total", page="overflow") == 7
    assert dropped == ["hits_total"] * 7


def test_what_many_processes_have_together_is_bounded_as_well(instance: Instance) -> None:
    instance.store.series_limit = 5
    for number in range(20):
        instance.process(add(HITS._replace(label_values=(str(number),))), end=nothing)
        fold(instance.folder, instance.store)

    found = samples(instance.text())
    assert sum(found.values()) == 20
    assert len(found) <= 7


def test_thousands_of_series_past_the_bound_do_not_hold_up_a_scrape(instance: Instance) -> None:
    def write(first: int, number: int) -> Callable[[ValueStore], None]:
        def work(store: ValueStore) -> None:
            store.series_limit = number
            for each in range(first, first + number):
                add(HITS._replace(label_values=(str(each),)))(store)

        return work

    def seconds(number: int) -> float:
        instance.process(write(number, number), end=nothing)
        began = time.perf_counter()
        assert sum(samples(instance.text()).values()) >= number
        return time.perf_counter() - began

    instance.store.series_limit = 5
    seconds(10)

    # Seven times as many take about seven times as long, not 49 times.
    few = min(seconds(500), seconds(500))
    assert min(seconds(3_500), seconds(3_500)) < 22 * few


def test_what_is_past_the_bound_of_many_processes_together_is_counted(instance: Instance) -> None:
    dropped: list[str] = []
    instance.store.series_limit = 5
    instance.store.count_dropped = dropped.append

    def write(first: int) -> Callable[[ValueStore], None]:
        def work(store: ValueStore) -> None:
            for number in range(first, first + 5):
                add(HITS._replace(label_values=(str(number),)))(store)
                store.cells[store.slot(TIMES._replace(**labelled(number))) + 1] += 1

        return work

    for first in (0, 100, 200):
        instance.process(write(first), end=killed)

    for _ in range(2):
        found = samples(instance.text())
        assert sum(value for (name, _), value in found.items() if name == "hits_total") == 15
        assert sum(value for (name, _), value in found.items() if name == "times_count") == 15
        fold(instance.folder, instance.store)
    assert {"hits_total", "times"} == set(dropped)


def labelled(number: int) -> dict[str, tuple[str, ...]]:
    return {"label_names": ("page",), "label_values": (str(number),)}


@pytest.fixture
def fresh_store(monkeypatch: pytest.MonkeyPatch) -> ValueStore:
    """A store of the test's own behind every metric that it makes."""
    store = ValueStore()
    for module in ("telemetry.metrics.values.store", "telemetry.metrics.metric.store"):
        monkeypatch.setattr(module, store)
    return store


def test_the_text_is_what_prometheus_client_writes(
    fresh_store: ValueStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def use(registry: CollectorRegistry) -> None:
        source = random.Random(7)
        hits = Counter("hits", 'He said "\\n"\n.', ["page", "b"], registry=registry)
        times = Histogram("times", "Times.", ["page"], registry=registry)
        odd = Histogram("odd", "Below 0.", buckets=(-1, 0, 5), registry=registry)
        sizes = Summary("sizes", "Sizes.", registry=registry)
        level = Gauge("level", "Level.", ["x"], registry=registry)
        for page in ("a", 'quo"te', "back\\slash", "new\nline", "per%cent %s", "ünï", "{}", ""):
            for _ in range(source.randrange(5)):
                hits.labels(page, "b").inc(source.choice([1, 0.5, 1e15, 1e-9]))
                times.labels(page).observe(source.choice([0, 0.005, 1, 100, float("inf")]))
                odd.observe(source.uniform(-2, 6))
                sizes.observe(-3)
                level.labels(page).set(source.choice([-1, float("inf"), 1e300]))

    theirs, ours = CollectorRegistry(), CollectorRegistry()
    monkeypatch.setattr(values, "ValueClass", values.MutexValue)
    use(theirs)
    monkeypatch.setattr(values, "ValueClass", SlotValue)
    use(ours)

    text = Reader(fresh_store, None).read(openmetrics=False, exemplar_age=0)[0]
    reference = generate_latest(theirs).decode()

    # `odd` has a bound below 0: prometheus_client leaves its sum out, as OpenMetrics asks.
    assert all_samples(text) == all_samples(reference)
    assert generate_latest(ours) == generate_latest(theirs)


def all_samples(text: str) -> set[tuple[str, frozenset[tuple[str, str]], str]]:
    return {
        (sample.name, frozenset(sample.labels.items()), repr(sample.value))
        for family in parse(text)
        for sample in family.samples
    }


def test_our_own_children_write_what_prometheus_clients_would(fresh_store: ValueStore) -> None:
    hits = CounterMetric("hits_total", "Hits.", ("page",))
    level = GaugeMetric("level", "Level.", merge="max")
    times = HistogramMetric("times", "Times.", ("page",), buckets=(0.1, 1))
    hits.child("a").inc()
    hits.child("a").inc(2)
    level.child().set(4)
    level.child().dec()
    for seconds in (0.05, 0.1, 0.5, 7):
        times.child("a").observe(seconds)

    found = samples(Reader(fresh_store, None).read(openmetrics=False, exemplar_age=0)[0])

    def times_below(bound: str) -> float:
        return found["times_bucket", frozenset({("page", "a"), ("le", bound)})]

    assert found["hits_total", frozenset({("page", "a")})] == 3
    assert found["level", frozenset()] == 3
    assert [times_below(bound) for bound in ("0.1", "1.0", "+Inf")] == [2, 3, 4]
    assert found["times_sum", frozenset({("page", "a")})] == pytest.approx(7.65)
    with pytest.raises(ValueError, match="labels"):
        hits.child("a", "b")


def test_metrics_that_were_made_before_ours_are_kept_as_well(
    fresh_store: ValueStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = CollectorRegistry()
    monkeypatch.setattr("telemetry.metrics.values.REGISTRY", registry)
    monkeypatch.setattr(values, "ValueClass", values.MutexValue)
    early = Counter("early", "Early.", registry=registry)
    early.inc(2)
    pages = Counter("pages", "Pages.", ["page"], registry=registry)
    pages.labels("a").inc()
    times = Histogram("times", "Times.", buckets=(1, 2), registry=registry)
    times.observe(1.5)

    install()
    early.inc()
    pages.labels("b").inc()
    times.observe(0.5)

    found = samples(Reader(fresh_store, None).read(openmetrics=False, exemplar_age=0)[0])
    assert found["early_total", frozenset()] == 3
    assert found["pages_total", frozenset({("page", "a")})] == 1
    assert found["pages_total", frozenset({("page", "b")})] == 1
    assert found["times_bucket", frozenset({("le", "1.0")})] == 1
    assert found["times_sum", frozenset()] == 2


def test_slots_are_aligned_and_survive_growth(tmp_path: Path) -> None:
    store = ValueStore()
    assert store.open(own_path(tmp_path))
    wanted = {}
    for number in range(3 * slots._FIRST_CAPACITY):
        slot = store.slot(Series("many", "counter", "", "", "_total", (), (), (str(number),)))
        store.cells[slot] = number
        wanted[slot] = float(number)

    written = Path(f"{store.path}.slots").read_bytes()

    for slot, value in wanted.items():
        assert struct.unpack_from("d", written, slot * 8)[0] == value


def test_promtool_finds_nothing_to_say(fresh_store: ValueStore) -> None:
    promtool = find("promtool")
    if promtool is None:
        pytest.skip("promtool is not built")
    Counter("hits", "Hits.", ["page"], registry=None).labels("a").inc()
    Histogram("times_seconds", "Times.", registry=None).observe(0.3)
    text = Reader(fresh_store, None).read(openmetrics=False, exemplar_age=0)[0]

    checked = subprocess.run(
        [promtool, "check", "metrics"], input=text.encode(), capture_output=True, check=False
    )

    assert checked.returncode == 0, checked.stderr
