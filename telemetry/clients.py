"""Who called: the client's address behind trusted proxies, and a user somebody else loaded."""

from __future__ import annotations

import ipaddress
from typing import Any

from django.http import HttpRequest
from django.utils.functional import LazyObject, empty

from telemetry import settings


def client_ip(request: HttpRequest) -> str:
    """The caller's address.

    ``X-Forwarded-For`` counts only as far as trusted proxies wrote it: read from the right, the
    first address that is no trusted proxy is the client. Anything else in it could be forged.
    """
    address: str = request.META.get("REMOTE_ADDR") or ""
    forwarded: str = request.META.get("HTTP_X_FORWARDED_FOR", "")
    if not forwarded:
        return address
    networks = settings.get().trusted_networks
    if not networks or not _within(address, networks):
        return address
    for hop in reversed(forwarded[-1000:].split(",")):
        candidate = hop.strip()
        try:
            ipaddress.ip_address(candidate)
        except ValueError:
            return address
        address = candidate
        if not _within(candidate, networks):
            return candidate
    return address


def _within(address: str, networks: tuple[settings.Network, ...]) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        # A Unix socket has no address: whoever can write to it stands beside the server.
        return address == ""
    if isinstance(parsed, ipaddress.IPv6Address):
        # A server that listens on [::] sees a caller with IPv4 as ::ffff:10.0.0.1.
        parsed = parsed.ipv4_mapped or parsed
    return any(parsed in network for network in networks)


def loaded_user(request: HttpRequest) -> Any:
    """The request's user if something already loaded it, else None.

    Looking at ``request.user`` itself would run a query and make every answer vary by cookie.
    """
    known = request.__dict__
    user = known.get("user")
    if isinstance(user, LazyObject):
        user = user.__dict__.get("_wrapped", empty)
        if user is empty:
            user = None
    if user is None:
        user = known.get("_acached_user") or known.get("_cached_user")
        if user is None:
            return None
    return user if getattr(user, "is_authenticated", False) else None
