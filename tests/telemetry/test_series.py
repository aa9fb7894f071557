"""Random input makes no series: what can be told apart is bounded by the code, not by clients."""

from __future__ import annotations

import random
import string

import pytest
from django.db import connection
from django.test import Client

from telemetry.metrics import exposition
from tests.conftest import samples

pytestmark = [pytest.mark.urls("tests.telemetry.site.urls"), pytest.mark.django_db]

REQUESTS = 5000


def series() -> set[object]:
    return set(samples(exposition.scrape().body.decode()))


def word(source: random.Random) -> str:
    return "".join(source.choices(string.ascii_letters + string.digits + "-_.~", k=12))


def test_five_thousand_strange_requests_make_no_series(client: Client) -> None:
    source = random.Random(2026)

    def send() -> None:
        paths = ["/{}/", "/hello/{}/", "/{}/{}.php", "/group/{}/items/7/", "/async/{}/"]
        client.generic(
            source.choice([word(source).upper(), "GET", "POST", "PROPFIND", "BREW"]),
            source.choice(paths).format(word(source), word(source)),
            QUERY_STRING=f"{word(source)}={word(source)}",
            headers={
                "X-Correlation-ID": word(source),
                "User-Agent": word(source),
                "Traceparent": word(source),
                f"X-{word(source).replace('_', '-').replace('.', '').replace('~', '')}": "1",
            },
        )

    # The few series that there may be (each method with each outcome) exist after some hundred.
    for _ in range(500):
        send()
    before = series()

    for _ in range(REQUESTS):
        send()

    assert series() - before == set()


def test_strange_statements_make_a_bounded_number_of_series() -> None:
    source = random.Random(2026)
    before = series()

    with connection.cursor() as cursor:
        for number in range(700):
            cursor.execute(f"/* {word(source)} */ SELECT {number} AS c{number} FROM auth_group")
            cursor.execute(f"SELECT '{word(source)}' FROM (VALUES ({number})) AS t{number}")

    tables = {
        dict(labels)["table"]
        for name, labels in series() - before  # type: ignore[misc]
        if name == "database_queries_total"
    }
    assert tables <= {"auth_group", "none"}
