"""``make traffic``: bounded, realistic requests, so that the dashboards have something to show.

    make traffic                       # 5 requests a second for a minute, to `make up`
    make traffic RATE=20 DURATION=300 ERRORS=20
    make traffic URL=http://127.0.0.1:8081 LOGIN=demo1 PASSWORD=…

Whoever it writes for is a demo user, and what it creates it deletes again.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import requests

from tools.local import credentials, runs
from tools.local.layout import Layout, from_environment

_MOST_KEPT = 20


@dataclass
class Visitor:
    """A demo user at work."""

    url: str
    token: str
    source: random.Random
    session: requests.Session = field(default_factory=requests.Session)
    created: list[int] = field(default_factory=list)

    def send(self, method: str, path: str, body: dict[str, str] | None = None) -> requests.Response:
        return self.session.request(
            method,
            f"{self.url}{path}",
            json=body,
            headers={"Authorization": f"Token {self.token}"},
            timeout=15,
        )

    def act(self) -> requests.Response:
        """One request, of the kinds and shares that an app would send."""
        choices = [
            (self.list, 35),
            (self.filter, 15),
            (self.detail, 20),
            (self.create, 10),
            (self.correct, 8),
            (self.categories, 5),
            (self.delete, 4),
            (self.mistake, 3),
        ]
        actions, weights = zip(*choices, strict=True)
        if len(self.created) >= _MOST_KEPT:
            return self.delete()
        response: requests.Response = self.source.choices(actions, weights)[0]()
        return response

    def list(self) -> requests.Response:
        return self.send("GET", "/api/v1/expenses/?limit=20")

    def filter(self) -> requests.Response:
        currency = self.source.choice(["EUR", "USD", "CHF"])
        return self.send("GET", f"/api/v1/expenses/?currency={currency}&ordering=-amount")

    def detail(self) -> requests.Response:
        if not self.created:
            return self.create()
        return self.send("GET", f"/api/v1/expenses/{self.source.choice(self.created)}/")

    def create(self) -> requests.Response:
        spent = datetime.now(UTC).date() - timedelta(days=self.source.randrange(60))
        response = self.send(
            "POST",
            "/api/v1/expenses/",
            {
                "title": self.source.choice(["Lunch", "Taxi", "Train", "Hotel", "Books"]),
                "merchant": self.source.choice(["Cafe", "City Cabs", "Railway", "Grand Hotel"]),
                "amount": f"{self.source.randrange(100, 20_000) / 100:.2f}",
                "currency": self.source.choice(["EUR", "USD", "CHF"]),
                "spent_on": spent.isoformat(),
            },
        )
        if response.status_code == 201:
            self.created.append(response.json()["id"])
        return response

    def correct(self) -> requests.Response:
        if not self.created:
            return self.create()
        path = f"/api/v1/expenses/{self.source.choice(self.created)}/"
        return self.send("PATCH", path, {"notes": "corrected"})

    def categories(self) -> requests.Response:
        return self.send("GET", "/api/v1/categories/")

    def delete(self) -> requests.Response:
        if not self.created:
            return self.list()
        return self.send("DELETE", f"/api/v1/expenses/{self.created.pop()}/")

    def mistake(self) -> requests.Response:
        """What clients do wrong: rows that are not there, amounts that are none."""
        if self.source.random() < 0.5:
            return self.send("GET", "/api/v1/expenses/999999999/")
        return self.send("POST", "/api/v1/expenses/", {"title": "Lunch", "amount": "-1"})

    def fail(self) -> requests.Response:
        return self.send("GET", "/api/v1/demo/faults/error/")


def number(name: str, default: float, least: float, most: float) -> float:
    """A number from the environment. Ends the program for one that is none or out of bounds."""
    text = os.environ.get(name, "").strip() or str(default)
    try:
        value = float(text)
    except ValueError:
        sys.exit(f"{name} must be a number, not {text!r}")
    if not least <= value <= most:
        sys.exit(f"{name} must be from {least:g} to {most:g}, not {text}")
    return value


def visitors(layout: Layout, url: str) -> list[Visitor]:
    """Logged-in demo users; ends the program where nobody answers or the login is refused."""
    secrets = credentials.read(layout.secrets)
    password = os.environ.get("PASSWORD") or secrets.get("DEMO_PASSWORD", "")
    chosen = os.environ.get("LOGIN", "")
    names = [chosen] if chosen else ["demo1", "demo2", "demo3"]
    found = []
    for index, name in enumerate(names):
        try:
            answer = requests.post(
                f"{url}/api/v1/auth/login/",
                json={"username": name, "password": password},
                timeout=15,
            )
        except requests.ConnectionError:
            sys.exit(f"nobody answers at {url}: make up starts the service, URL=… names another")
        if answer.status_code != 200:
            sys.exit(f"{name} could not log in at {url}: {answer.status_code} {answer.text[:200]}")
        found.append(Visitor(url, answer.json()["token"], random.Random(index)))
    return found


def run(people: list[Visitor], rate: float, duration: float, errors: float) -> Counter[str]:
    """Send requests evenly spaced for ``duration`` seconds; statuses and their numbers."""
    source = random.Random(2026)
    seen: Counter[str] = Counter()
    started = time.monotonic()
    sent = 0
    while (elapsed := time.monotonic() - started) < duration:
        wait = sent / rate - elapsed
        if wait > 0:
            time.sleep(min(wait, duration - elapsed))
            continue
        visitor = source.choice(people)
        try:
            failing = source.random() * 100 < errors
            response = visitor.fail() if failing else visitor.act()
            seen[str(response.status_code)] += 1
        except requests.RequestException as error:
            seen[type(error).__name__] += 1
        sent += 1
    return seen


def main() -> int:
    layout = runs.with_ports_of_run(from_environment())
    url = os.environ.get("URL", "").rstrip("/") or layout.url("API_PORT")
    rate, duration = number("RATE", 5, 0.01, 500), number("DURATION", 60, 1, 86_400)
    errors = number("ERRORS", 0, 0, 100)
    people = visitors(layout, url)
    print(f"{rate:g} requests a second to {url} for {duration:g} s, {errors:g} % of them fail")
    try:
        seen = run(people, rate, duration, errors)
    finally:
        for visitor in people:
            while visitor.created:
                visitor.delete()
    for status, times in sorted(seen.items()):
        print(f"  {status:>16}  {times}")
    if errors and seen["404"] and not seen["500"]:
        print("nothing failed: the fault switch exists with DEMO=1 only")
    return 0


if __name__ == "__main__":
    sys.exit(main())
