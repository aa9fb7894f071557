"""The call to the demo's second service, against a real server of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.test import override_settings
from rest_framework.test import APIClient

from testing.postgres import free_port
from testing.servers import Server, gunicorn

RATES = "/api/v1/demo/rates/"


@pytest.fixture(scope="module")
def rates() -> Iterator[Server]:
    """The second service under gunicorn."""
    server = Server(
        gunicorn(workers=1, application="config.rates.wsgi"),
        {"DJANGO_SETTINGS_MODULE": "config.rates.settings"},
        ready="/health/live",
    )
    try:
        yield server
    finally:
        server.stop()


@pytest.mark.servers
def test_a_rate_comes_from_the_other_service_under_the_same_correlation_id(
    anonymous: APIClient, rates: Server
) -> None:
    with override_settings(DEMO=True, DEMO_RATES_URL=rates.url("")):
        answer = anonymous.get(RATES + "USD/", headers={"X-Correlation-ID": "two-services"})

    assert answer.json() == {"currency": "USD", "rate": "1.10"}
    assert rates.line_of("two-services")["endpoint"] == "/rates/{currency}/"


@pytest.mark.servers
def test_a_currency_that_the_other_service_does_not_know_is_404(
    anonymous: APIClient, rates: Server
) -> None:
    with override_settings(DEMO=True, DEMO_RATES_URL=rates.url("")):
        assert anonymous.get(RATES + "XXX/").status_code == 404


def test_an_upstream_that_is_away_is_502(anonymous: APIClient) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    with override_settings(DEMO=True, DEMO_RATES_URL=away):
        answer = anonymous.get(RATES + "USD/")

    assert (answer.status_code, answer.json()["code"]) == (502, "upstream_failed")


@pytest.mark.parametrize("switched_off", [{"DEMO": False}, {"DEMO_RATES_URL": ""}])
def test_it_is_there_in_the_demo_alone(
    anonymous: APIClient, switched_off: dict[str, object]
) -> None:
    with override_settings(
        **{"DEMO": True, "DEMO_RATES_URL": "http://127.0.0.1:1", **switched_off}
    ):
        assert anonymous.get(RATES + "USD/").status_code == 404
