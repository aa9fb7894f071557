"""Healthy traffic beside a fault: the demo users of ``make traffic``, spread over instances."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import requests

from tools.local.traffic import Visitor

_THREADS = 16
#: Requests under way at one instance. A worker has four threads, and any of its connections may be
#: the scrape's: with more requests that wait three seconds for a database, the scrape would wait
#: too, and its time limit is compressed while their waiting is not.
_MOST_AT_ONCE = 3
#: Seconds between two looks at the rate.
_TICK = 0.05


class Load:
    """Sends ``rate`` requests a second until it is stopped; ``rate`` may be changed meanwhile."""

    def __init__(self, urls: list[str], password: str, rate: float) -> None:
        self.rate = rate
        #: Answers by status, and exceptions by name.
        self.seen: Counter[str] = Counter()
        self._ended = threading.Event()
        self._places = {url: threading.Semaphore(_MOST_AT_ONCE) for url in urls}
        tokens = [_token(urls[0], f"demo{number}", password) for number in (1, 2, 3)]
        self._threads = [
            threading.Thread(target=self._run, args=(urls, tokens, number), daemon=True)
            for number in range(_THREADS)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(20)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """No request is under way while the block runs."""
        deadline = time.monotonic() + 30
        taken: list[threading.Semaphore] = []
        try:
            for place in self._places.values():
                for _ in range(_MOST_AT_ONCE):
                    if not place.acquire(timeout=max(deadline - time.monotonic(), 0)):
                        raise RuntimeError("a request of the traffic does not end")
                    taken.append(place)
            yield
        finally:
            for place in taken:
                place.release()

    def _run(self, urls: list[str], tokens: list[str], number: int) -> None:
        source = random.Random(number)
        visitors = [
            Visitor(url, tokens[number % len(tokens)], random.Random(f"{number} {url}"))
            for url in urls
        ]
        due = 0.0
        while not self._ended.wait(_TICK):
            # Counted in small steps, so that a new rate holds at once.
            due += source.uniform(0.5, 1.5) * _TICK * self.rate / _THREADS
            if due < 1:
                continue
            # What finds no place is not sent later: the rate is what clients want, not a debt.
            due -= 1
            visitor = source.choice(visitors)
            place = self._places[visitor.url]
            if not place.acquire(blocking=False):
                continue
            try:
                self.seen[str(visitor.act().status_code)] += 1
            except (requests.RequestException, ValueError) as error:
                # A fault is on; what it does to clients is part of the report.
                self.seen[type(error).__name__] += 1
            finally:
                place.release()


def _token(url: str, name: str, password: str) -> str:
    answer = requests.post(
        f"{url}/api/v1/auth/login/", json={"username": name, "password": password}, timeout=15
    )
    answer.raise_for_status()
    token: str = answer.json()["token"]
    return token
