from __future__ import annotations

import pytest
from django.test import override_settings
from rest_framework.test import APIClient

FAULTS = "/api/v1/demo/faults/"


@override_settings(DEMO=False)
@pytest.mark.parametrize("fault", ["error/", "slow/?seconds=0", "queries/?n=1"])
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
    ],
)
def test_faults_are_bounded(anonymous: APIClient, fault: str) -> None:
    assert anonymous.get(FAULTS + fault).status_code == 400
