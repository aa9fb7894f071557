from __future__ import annotations

import pytest
from django.test import RequestFactory

import telemetry
from telemetry import settings
from telemetry.clients import client_ip


@pytest.mark.parametrize(
    ("trusted", "remote", "forwarded", "client"),
    [
        ([], "10.0.0.1", "1.2.3.4", "10.0.0.1"),
        (["10.0.0.1"], "10.0.0.1", "1.2.3.4", "1.2.3.4"),
        (["10.0.0.0/8"], "10.0.0.1", "6.6.6.6, 1.2.3.4, 10.0.0.2", "1.2.3.4"),
        (["10.0.0.1"], "9.9.9.9", "1.2.3.4", "9.9.9.9"),
        (["10.0.0.1"], "10.0.0.1", "1.2.3.4, not-an-address", "10.0.0.1"),
        (["10.0.0.1"], "10.0.0.1", "", "10.0.0.1"),
        (["*"], "10.0.0.1", "1.2.3.4", "1.2.3.4"),
        (["10.0.0.1"], "", "1.2.3.4", "1.2.3.4"),
        (["::1"], "::1", "2001:db8::7", "2001:db8::7"),
        (["*"], "::1", "2001:db8::7", "2001:db8::7"),
        (["*"], "fd00::1", "1.2.3.4, fd00::2", "1.2.3.4"),
        (["10.0.0.0/8"], "::ffff:10.0.0.1", "1.2.3.4", "1.2.3.4"),
        (["10.0.0.0/8"], "::ffff:11.0.0.1", "1.2.3.4", "11.0.0.1"),
        (["::ffff:10.0.0.0/104"], "10.0.0.1", "1.2.3.4", "1.2.3.4"),
        (["10.0.0.1"], "10.0.0.1", "1.2.3.4:5678", "1.2.3.4"),
        (["10.0.0.1"], "10.0.0.1", "[2001:db8::7]:443", "2001:db8::7"),
        (["10.0.0.1"], "10.0.0.1", "[2001:db8::7]", "2001:db8::7"),
        (["10.0.0.1"], "10.0.0.1", '"[2001:DB8:0::7]:443"', "2001:db8::7"),
        (["10.0.0.1"], "10.0.0.1", "1.2.3.4, 10.0.0.1:80", "1.2.3.4"),
        (["fe80::/10"], "fe80::1%eth0", "2001:db8::7", "2001:db8::7"),
        (["fe80::/10"], "fe80::1%eth0", "", "fe80::1"),
        (["10.0.0.1"], "10.0.0.1", "fe80::2%eth1", "fe80::2"),
        (["10.0.0.1"], "10.0.0.1", "1.2.3.4, unknown", "10.0.0.1"),
        (["10.0.0.1"], "10.0.0.1", "1.2.3.4,", "10.0.0.1"),
        (["*"], "10.0.0.1", "1.2.3.4 ," + "10.0.0.9," * 200 + "10.0.0.9", "10.0.0.9"),
        ([], "", "", ""),
        (["*"], "testclient", "1.2.3.4", "testclient"),
    ],
)
def test_the_client_is_who_no_trusted_proxy_is(
    monkeypatch: pytest.MonkeyPatch, trusted: list[str], remote: str, forwarded: str, client: str
) -> None:
    monkeypatch.setattr(settings, "get", lambda: settings.Settings(TRUSTED_PROXIES=trusted))
    request = RequestFactory().get("/", REMOTE_ADDR=remote, HTTP_X_FORWARDED_FOR=forwarded)

    assert client_ip(request) == client


def test_an_address_that_the_bound_cuts_in_two_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "get", lambda: settings.Settings(TRUSTED_PROXIES=["10.0.0.0/8"]))
    proxies = ",10.0.0.9" * 100
    # The last 1,000 characters begin within the client's address: 8.51.100.17 is another one.
    padding = 1000 - len("8.51.100.17" + proxies + ",10.0.0.77")
    chain = "198.51.100.17" + proxies + "," + " " * padding + "10.0.0.77"
    assert chain[-1000:].startswith("8.51.100.17,")

    request = RequestFactory().get("/", REMOTE_ADDR="10.0.0.1", HTTP_X_FORWARDED_FOR=chain)

    assert client_ip(request) == "10.0.0.9"


def test_the_public_face_has_it() -> None:
    assert telemetry.client_ip is client_ip
