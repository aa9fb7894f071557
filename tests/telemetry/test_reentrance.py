"""Signal handlers and finalizers that count while their thread does the same.

Each test is a process of its own, with the files of an instance, that is interrupted some thousand
times at any point and then compares what it counted with what its files say.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from testing.servers import ROOT

PROLOGUE = """
import gc, itertools, json, os, random, signal, sys, time
from collections import Counter as Tally
import django
from django.conf import settings
settings.configure()
from telemetry.metrics import definitions, registered, values
from telemetry.metrics.metric import CounterMetric, GaugeMetric, HistogramMetric
from telemetry.metrics.opentelemetry import StoreMeterProvider
from telemetry.metrics.slots import store
from telemetry.metrics.store import instance, install
install()
import prometheus_client
instance.share(os.getpid())
definitions.create_all()
# A quick machine counts more pages than the shipped bound.
store.series_limit = 10**9
unreadable = []
from tests.conftest import samples

source = random.Random(7)
meter = StoreMeterProvider().get_meter("odd")
theirs = prometheus_client.Counter("theirs", "Theirs.", ["page"])
sizes = prometheus_client.Histogram("sizes", "Sizes.", ["page"], buckets=(1, 2, 3))
level = prometheus_client.Gauge("level", "Level.", ["page"], multiprocess_mode="livesum")
ours = CounterMetric("ours_total", "Ours.", ("page",))
times = HistogramMetric("times", "Times.", ("page",), buckets=(1, 2))
otel = meter.create_counter("otel")
# Appending is one step, whoever interrupts.
events = []
KINDS = {"theirs_total", "sizes_count", "level", "ours_total", "times_count", "otel_total"}
numbers = itertools.count()

def record(page):
    # A few calls of each kind, for a series that may be new, with an exemplar.
    theirs.labels(page).inc(exemplar={"trace_id": "a" * 32})
    events.append(("theirs_total", page))
    sizes.labels(page).observe(1.5)
    events.append(("sizes_count", page))
    level.labels(page).inc()
    events.append(("level", page))
    ours.child(page).inc()
    events.append(("ours_total", page))
    times.child(page).observe(1.5, "b" * 32)
    events.append(("times_count", page))
    otel.add(1, {"page": page})
    events.append(("otel_total", page))

def compare():
    reader = instance.reader()
    reader.count_unreadable = lambda: unreadable.append(1)
    text = reader.read(openmetrics=False, exemplar_age=0)[0]
    found = {
        (name, dict(labels)["page"]): value
        for (name, labels), value in samples(text).items()
        if name in KINDS
    }
    counted = Tally(events)
    wrong = {key: (found.get(key), n) for key, n in counted.items() if found.get(key) != n}
    wrong |= {key: (n, None) for key, n in found.items() if key not in counted}
    assert not wrong, (len(wrong), dict(list(wrong.items())[:10]))
    assert not unreadable
    assert len(counted) > 500, len(counted)
"""

SIGNALS = """
nested = 0
def handle(_number, _frame):
    global nested
    nested += 1
    record(f"page{next(numbers) // 7}")

signal.signal(signal.SIGALRM, handle)
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
until = time.monotonic() + 6
while time.monotonic() < until:
    record(f"page{next(numbers) // 7}")
signal.setitimer(signal.ITIMER_REAL, 0)
assert nested > 500, nested
compare()
"""

#: Calls and returns of the store's own code, where CPython runs what interrupts.
EACH_CALL = """
inside = False
def trace(frame, event, _argument):
    global inside
    file = frame.f_code.co_filename
    if "telemetry/metrics/" not in file and "prometheus_client" not in file:
        return None
    if not inside and event in {"call", "return"} and source.random() < 0.05:
        inside = True
        sys.settrace(None)
        try:
            record(f"page{next(numbers) // 7}")
        finally:
            sys.settrace(trace)
            inside = False
    return trace

sys.settrace(trace)
until = time.monotonic() + 8
while time.monotonic() < until:
    record(f"page{next(numbers) // 7}")
sys.settrace(None)
compare()
"""

FINALIZERS = """
class Counts:
    def __init__(self):
        self.me = self

    def __del__(self):
        record(f"page{next(numbers) // 7}")

gc.set_threshold(30, 2, 2)
until = time.monotonic() + 6
while time.monotonic() < until:
    Counts()
    record(f"page{next(numbers) // 7}")
gc.disable()
compare()
"""

FORKS = """
forked = 0
def handle(_number, _frame):
    global forked
    pid = os.fork()
    if pid == 0:
        record("of a child")
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    forked += 1
    # What the child recorded is in its files.
    for kind in ("theirs_total", "sizes_count", "ours_total", "times_count", "otel_total"):
        events.append((kind, "of a child"))
    record(f"page{next(numbers) // 7}")
    again()

def again():
    # One signal at a time: a child that got one itself would fork as well.
    signal.setitimer(signal.ITIMER_REAL, source.uniform(0.005, 0.02))

signal.signal(signal.SIGALRM, handle)
again()
until = time.monotonic() + 6
while time.monotonic() < until and forked < 150:
    record(f"page{next(numbers) // 7}")
signal.setitimer(signal.ITIMER_REAL, 0)
assert forked > 20, forked
compare()
"""

RAISES = """
import threading
class Enough(BaseException):
    pass

def handle(_number, _frame):
    raise Enough

signal.signal(signal.SIGALRM, handle)
until = time.monotonic() + 5
raised = 0
while time.monotonic() < until:
    try:
        signal.setitimer(signal.ITIMER_REAL, source.uniform(0.00005, 0.002))
        # One that is raised in a finalizer ends there.
        enough = time.monotonic() + 0.1
        while time.monotonic() < enough:
            record(f"page{next(numbers) // 7}")
    except Enough:
        raised += 1
signal.setitimer(signal.ITIMER_REAL, 0)
assert raised > 300, raised
# No lock is left taken, and all that is listed can be read.
thread = threading.Thread(target=record, args=("of a thread",), daemon=True)
thread.start()
thread.join(10)
assert not thread.is_alive()
reader = instance.reader()
reader.count_unreadable = lambda: unreadable.append(1)
found = samples(reader.read(openmetrics=False, exemplar_age=600)[0])
assert not unreadable
assert found["theirs_total", frozenset({("page", "of a thread")})] == 1
for (kind, page), n in Tally(events).items():
    labels = {("page", page)}
    if kind == "theirs_total":
        # What was in the middle of being counted may be counted or not.
        assert abs(found[kind, frozenset(labels)] - n) <= 7, (kind, page)
"""

SCRAPES = """
from telemetry.metrics import exposition
looks = 0
def handle(_number, _frame):
    global looks
    looks += 1
    assert b"theirs_total" in exposition.scrape().body
    record(f"page{next(numbers) // 7}")
    again()

def again():
    signal.setitimer(signal.ITIMER_REAL, source.uniform(0.005, 0.05))

record("first")
signal.signal(signal.SIGALRM, handle)
again()
until = time.monotonic() + 6
while time.monotonic() < until:
    record(f"page{next(numbers) // 7}")
    if next(numbers) % 20 == 0:
        assert b"theirs_total" in exposition.scrape().body
signal.setitimer(signal.ITIMER_REAL, 0)
assert looks > 10, looks
compare()
"""


@pytest.mark.servers
@pytest.mark.parametrize(
    "script",
    [
        pytest.param(SIGNALS, id="signals"),
        pytest.param(EACH_CALL, id="each-call"),
        pytest.param(FINALIZERS, id="finalizers"),
        pytest.param(FORKS, id="forks"),
        pytest.param(RAISES, id="handlers-that-raise"),
        pytest.param(SCRAPES, id="scrapes"),
    ],
)
def test_whatever_interrupts_is_counted_and_nothing_waits_for_itself(
    tmp_path: Path, script: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", PROLOGUE + script],
        cwd=ROOT,
        env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
