from __future__ import annotations

import pytest
from django.test import override_settings
from rest_framework.test import APIClient

from expenses.api import faults

FAULTS = "/api/v1/demo/faults/"


@override_settings(DEMO=False)
@pytest.mark.parametrize(
    "fault",
    ["error/", "slow/?seconds=0", "queries/?n=1", "memory/?mb=0", "connections/", "series/?n=0"],
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_without_demo_there_are_no_faults(anonymous: APIClient, fault: str, method: str) -> None:
    answer = anonymous.generic(method, FAULTS + fault)

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@override_settings(DEMO=True)
def test_queries_runs_as_many_as_asked(anonymous: APIClient, django_assert_num_queries) -> None:
    with django_assert_num_queries(7):
        answer = anonymous.get(FAULTS + "queries/?n=7")

    assert answer.json() == {"n": 7}


@override_settings(DEMO=True)
def test_slow_takes_its_time(anonymous: APIClient) -> None:
    assert anonymous.get(FAULTS + "slow/?seconds=0.05").json() == {"seconds": 0.05}


@override_settings(DEMO=True)
@pytest.mark.parametrize(
    "fault",
    [
        "slow/?seconds=10.1",
        "slow/?seconds=-1",
        "slow/?seconds=nan",
        "slow/?seconds=inf",
        "slow/?seconds=x",
        "slow/?second=1",
        "queries/?n=201",
        "queries/?n=1.5",
        "queries/?n=x",
        "memory/?mb=801",
        "series/?n=2001",
        "series/?n=0.5",
    ],
)
def test_faults_are_bounded(anonymous: APIClient, fault: str) -> None:
    assert anonymous.get(FAULTS + fault).status_code == 400


@override_settings(DEMO=True)
def test_memory_that_leaked_is_held_and_bounded(
    anonymous: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faults, "_memory", [])
    monkeypatch.setattr(faults, "MOST_MEGABYTES", 3)

    answers = [anonymous.get(FAULTS + "memory/?mb=2") for _ in range(2)]

    assert answers[0].json() == {"held_mb": 2}
    assert answers[1].status_code == 400


@override_settings(DEMO=True)
def test_each_visitor_gets_a_series(anonymous: APIClient) -> None:
    anonymous.get(FAULTS + "series/?n=3")

    (family,) = faults.DEMO_VISITS.collect()
    assert len(family.samples) >= 3
