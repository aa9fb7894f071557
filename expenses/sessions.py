"""Sessions in the database, for keys that can be in it.

A cookie in quotes may hold any character (``sessionid="\\000…"``), and Django asks the database for
whatever is long enough: PostgreSQL refuses a text with a NUL, so that anybody could make errors of
the server.

https://docs.djangoproject.com/en/5.2/topics/http/sessions/#extending-database-backed-session-engines
"""

from __future__ import annotations

from django.contrib.sessions.backends.db import SessionStore as DatabaseSessions


class SessionStore(DatabaseSessions):
    def _validate_session_key(self, key: str | None) -> bool:
        # Django makes them of small letters and digits.
        valid: bool = super()._validate_session_key(key)  # type: ignore[misc]
        return valid and key is not None and key.isascii() and key.isalnum()
