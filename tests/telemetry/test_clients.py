from __future__ import annotations

import pytest
from django.test import RequestFactory

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
        (["10.0.0.0/8"], "::ffff:11.0.0.1", "1.2.3.4", "::ffff:11.0.0.1"),
    ],
)
def test_the_client_is_who_no_trusted_proxy_is(
    monkeypatch: pytest.MonkeyPatch, trusted: list[str], remote: str, forwarded: str, client: str
) -> None:
    monkeypatch.setattr(settings, "get", lambda: settings.Settings(TRUSTED_PROXIES=trusted))
    request = RequestFactory().get("/", REMOTE_ADDR=remote, HTTP_X_FORWARDED_FOR=forwarded)

    assert client_ip(request) == client
