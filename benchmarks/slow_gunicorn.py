"""The service's own gunicorn settings for callgrind, which makes all slow but the clock: what runs
by the clock would run fifty times as often between two requests. It runs as much more seldom."""

import runpy

globals().update(runpy.run_path("config/gunicorn.conf.py"))

from telemetry import runtime  # noqa: E402  begun by the settings above
from telemetry.metrics import batch  # noqa: E402

SLOWER = 50
runtime.POOLS_EVERY *= SLOWER
runtime.MEMORY_EVERY *= SLOWER
batch.EXEMPLAR_STAYS *= SLOWER
