"""Against guessing passwords: failed logins are counted, and too many must wait.

The counts live in Django's cache, which is each worker's own memory here: with two workers a
guesser has twice the tries. A shared cache (``CACHES``) makes the bound exact.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from django.conf import settings
from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle
from rest_framework.views import APIView


class FailedLoginThrottle(SimpleRateThrottle):
    """Stops a login when its key has failed too often; ``record`` counts a failure."""

    duration: int  # seconds; DRF reads it out of `rate`

    def get_cache_key(self, request: Request, view: APIView) -> str:  # noqa: ARG002
        return f"failed-logins:{self.scope}:{self.subject(request)}"

    def subject(self, request: Request) -> str:
        raise NotImplementedError

    def throttle_success(self) -> bool:
        return True

    def record(self) -> None:
        if self.key is not None:
            self.history.insert(0, self.now)
            self.cache.set(self.key, self.history, self.duration)


class FailuresOfAddress(FailedLoginThrottle):
    """One address, many names."""

    scope = "address"
    rate = "30/min"

    def subject(self, request: Request) -> str:
        return client_address(request)


class FailuresOfName(FailedLoginThrottle):
    """One name from one address: somebody elsewhere cannot lock its owner out."""

    scope = "name"
    rate = "5/min"

    def subject(self, request: Request) -> str:
        data = request.data if isinstance(request.data, dict) else {}
        name = str(data.get("username", "")).strip().casefold()
        digest = hashlib.sha256(name.encode(errors="replace")).hexdigest()
        return f"{client_address(request)}:{digest}"


def client_address(request: Request) -> str:
    """The caller's address; X-Forwarded-For is believed of our own proxies only, from the right."""
    proxies: Sequence[str] = settings.TELEMETRY.get("TRUSTED_PROXIES", ())
    address: str = request.META.get("REMOTE_ADDR", "")
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    while address in proxies and forwarded:
        address = forwarded.pop().strip() or address
    return address
