"""Which alerts fire while something else goes on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import requests

from tools.drill.field import Field


@contextmanager
def watched(it: Field) -> Iterator[dict[str, list[str]]]:
    """Alerts that fire meanwhile, by name, with their severity and summary; Watchdog left out."""
    seen: dict[str, list[str]] = {}
    ended = threading.Event()
    # A session is not made for two threads.
    session = requests.Session()

    def look() -> None:
        while not ended.wait(it.scrape / 2):
            try:
                firing = it.firing(session=session)
            except requests.RequestException as error:
                firing = {}
                seen["Prometheus did not answer"] = ["critical", str(error)]
            for name, alerts in firing.items():
                first = alerts[0]
                if name != "Watchdog":
                    seen.setdefault(
                        name, [first["labels"]["severity"], first["annotations"]["summary"]]
                    )

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join(20)
