"""Who calls: the token of a login, hashed at rest by django-rest-knox."""

from __future__ import annotations

import re
from typing import Any

import knox.auth
from django.utils import timezone
from rest_framework.exceptions import AuthenticationFailed


class TokenAuthentication(knox.auth.TokenAuthentication):
    """knox's, with two differences, seen in 5.1.

    It decodes the header as UTF-8 without a net, so that a strange byte is a 500; here it is an
    invalid token. And it reads all tokens of the user at each request to remove expired ones, one
    more query that grows with the logins; here a login does that.
    """

    def authenticate_credentials(self, token: bytes) -> tuple[Any, Any]:
        if not re.fullmatch(rb"[A-Za-z0-9]{16,128}", token):
            raise AuthenticationFailed("Invalid token.")
        found: tuple[Any, Any] = super().authenticate_credentials(token)  # type: ignore[no-untyped-call]
        return found

    def _cleanup_token(self, auth_token: Any) -> bool:
        """Whether the token is too old to be looked at."""
        return auth_token.expiry is not None and auth_token.expiry < timezone.now()
