"""Against guessing passwords: failed logins are counted, and after too many one must wait.

The counts are rows of PostgreSQL, one for each address and one for each name from one address, so
that all workers and instances share them. An attempt takes its place before the password is
looked at: of any number of attempts at once, no more passwords are tried than are allowed.

Of what exists, Django's database cache reads, changes and writes back, which loses counts under
concurrency, and django-axes 8.3 adds up after the password was checked, so that attempts at once
all pass.
"""

from __future__ import annotations

import hmac
import ipaddress
import math
import time
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import connection, transaction
from django.http import HttpRequest
from django.utils.crypto import salted_hmac

from telemetry import client_ip

#: Seconds that failures count together, from the first attempt on.
WINDOW = 60
#: Failures within one window.
FAILURES_OF_ADDRESS = 30
FAILURES_OF_NAME = 5
#: Seconds that an attempt waits for others at the same moment, which may use up what is left.
PATIENCE = 10.0
#: The header in which a monitoring probe shows ``LOGIN_PROBE_TOKEN``.
PROBE_HEADER = "X-Login-Probe"


class TooManyFailures(PermissionDenied):
    """This address, or this name from this address, must wait ``seconds``."""

    def __init__(self, seconds: int) -> None:
        super().__init__("Too many failed logins.")
        self.seconds = seconds


class LoginAttempt:
    """What came of one attempt: a failure, unless ``succeed`` is called."""

    succeeded = False

    def succeed(self) -> None:
        self.succeeded = True


@contextmanager
def login_attempt(request: HttpRequest, username: str) -> Iterator[LoginAttempt]:
    """Count what happens inside as a failed login, unless it succeeds.

    Raises TooManyFailures, before anything happens, where too many failed already.
    """
    attempt = LoginAttempt()
    if _is_probe(request, username):
        yield attempt
        return
    limits = _limits(request, username)
    _reserve(limits)
    try:
        yield attempt
    finally:
        _settle(list(limits), failed=not attempt.succeeded)


def _is_probe(request: HttpRequest, username: str) -> bool:
    token: str = settings.LOGIN_PROBE_TOKEN
    shown = request.headers.get(PROBE_HEADER, "")
    return (
        bool(token)
        and username == settings.LOGIN_PROBE_USERNAME
        and hmac.compare_digest(shown.encode(), token.encode())
    )


def _limits(request: HttpRequest, username: str) -> dict[str, int]:
    """The keys under which this attempt counts, with the failures that each may have."""
    address = _network(client_ip(request))
    name = unicodedata.normalize("NFKC", username).strip().casefold()
    limits = {_key("address", address): FAILURES_OF_ADDRESS}
    # One name from one address: somebody elsewhere cannot lock its owner out.
    limits[_key("name", f"{address} {name}")] = FAILURES_OF_NAME
    return limits


def _network(address: str) -> str:
    """``address``, or its /64 in IPv6: that is what one subscriber has (RFC 6177)."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((int(parsed), 64), strict=False))
    return address


def _key(kind: str, subject: str) -> str:
    """64 hexadecimal digits, from which neither address nor name can be read."""
    text = subject.encode(errors="replace").decode()
    return salted_hmac(f"expenses.login_throttle.{kind}", text, algorithm="sha256").hexdigest()


def _reserve(limits: dict[str, int]) -> None:
    """Take a place under each key. Raises TooManyFailures."""
    deadline = time.monotonic() + PATIENCE
    while not _try_to_reserve(limits):
        wait = _seconds_to_wait(limits)
        if wait:
            raise TooManyFailures(wait)
        # Attempts that are under way hold the places that are left: they settle soon.
        if time.monotonic() > deadline:
            raise TooManyFailures(1)
        time.sleep(0.05)


# A row whose time is over begins again at zero.
_RESERVE = """
INSERT INTO expenses_loginfailures AS counts (key, failures, pending, expires_at)
SELECT wanted.key, 0, 1, statement_timestamp() + make_interval(secs => %(window)s)
FROM unnest(%(keys)s::text[]) AS wanted(key) ORDER BY wanted.key
ON CONFLICT (key) DO UPDATE SET (failures, pending, expires_at) = (
    SELECT CASE WHEN counts.expires_at > statement_timestamp() THEN counts.failures ELSE 0 END,
           CASE WHEN counts.expires_at > statement_timestamp() THEN counts.pending + 1 ELSE 1 END,
           CASE WHEN counts.expires_at > statement_timestamp() THEN counts.expires_at
                ELSE excluded.expires_at END
)
WHERE counts.expires_at <= statement_timestamp()
   OR counts.failures + counts.pending <
      (%(limits)s::int[])[array_position(%(keys)s::text[], counts.key::text)]
RETURNING key
"""


def _try_to_reserve(limits: dict[str, int]) -> bool:
    """Take a place under each key, or under none and return False."""
    values: dict[str, Any] = {
        "keys": list(limits),
        "limits": list(limits.values()),
        "window": WINDOW,
    }
    # Rows are locked in the order of their keys, here and below: attempts cannot deadlock.
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_RESERVE, values)
        reserved = len(cursor.fetchall()) == len(limits)
        if not reserved:
            transaction.set_rollback(True)
    return reserved


_STATE = """
SELECT key, failures, EXTRACT(EPOCH FROM expires_at - statement_timestamp())
FROM expenses_loginfailures
WHERE key = ANY(%s) AND expires_at > statement_timestamp()
"""


def _seconds_to_wait(limits: dict[str, int]) -> int:
    """Seconds until the last key that is used up is free again, 0 if none is."""
    with connection.cursor() as cursor:
        cursor.execute(_STATE, [list(limits)])
        left = [
            math.ceil(seconds)
            for key, failures, seconds in cursor.fetchall()
            if failures >= limits[key]
        ]
    return max(left, default=0)


_SETTLE = """
WITH locked AS (
    SELECT key FROM expenses_loginfailures WHERE key = ANY(%(keys)s) ORDER BY key FOR UPDATE
)
UPDATE expenses_loginfailures AS counts
SET pending = GREATEST(counts.pending - 1, 0), failures = counts.failures + %(failed)s
FROM locked WHERE counts.key = locked.key
"""

# At most so many at once, and none that an attempt holds: removing is never what one waits for.
_SWEEP = """
DELETE FROM expenses_loginfailures WHERE key IN (
    SELECT key FROM expenses_loginfailures WHERE expires_at <= statement_timestamp()
    ORDER BY expires_at LIMIT 100 FOR UPDATE SKIP LOCKED
)
"""


def _settle(keys: list[str], *, failed: bool) -> None:
    """Give the places back, as failures if so; remove rows whose time is over."""
    with connection.cursor() as cursor:
        cursor.execute(_SETTLE, {"keys": keys, "failed": int(failed)})
        cursor.execute(_SWEEP)
