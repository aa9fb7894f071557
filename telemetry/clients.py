"""Who called: the client's address behind trusted proxies, and a user somebody else loaded."""

from __future__ import annotations

import ipaddress
from typing import Any

from django.http import HttpRequest
from django.utils.functional import LazyObject, empty

from telemetry import settings
from telemetry.context import WITHOUT_DATABASE, current

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

#: Characters of ``X-Forwarded-For`` that are looked at, from the right.
_LONGEST_CHAIN = 1000


def client_ip(request: HttpRequest) -> str:
    """Return the caller's address, without a port; empty for a caller on a Unix socket.

    ``X-Forwarded-For`` counts only as far as trusted proxies (``TRUSTED_PROXIES``) wrote it: read
    from the right, the first address that is no trusted proxy is the client. Anything further left
    could be forged. Ports, brackets and zones are left out (``[2001:db8::7]:443``), and IPv4 inside
    IPv6 (``::ffff:192.0.2.7``) is IPv4.
    """
    remote = str(request.META.get("REMOTE_ADDR") or "")
    forwarded: str = request.META.get("HTTP_X_FORWARDED_FOR", "")
    if not forwarded and ":" not in remote:
        return remote
    address = _parse(remote)
    if address is None and remote:
        return remote
    networks = settings.get().trusted_networks
    if forwarded and networks and _is_trusted(address, networks):
        hops = forwarded[-_LONGEST_CHAIN:].split(",")
        if len(forwarded) > _LONGEST_CHAIN:
            del hops[0]  # cut in two
        for hop in reversed(hops):
            candidate = _parse(hop)
            if candidate is None:
                break
            address = candidate
            if not _is_trusted(address, networks):
                break
    return "" if address is None else str(address)


def _parse(text: str) -> Address | None:
    """Read an address as proxies write it: ``a.b.c.d:port``, ``[v6]:port``, ``fe80::1%eth0``."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        # A server that listens on [::] sees a caller with IPv4 as ::ffff:10.0.0.1.
        return address.ipv4_mapped or address
    return address


def _is_trusted(address: Address | None, networks: tuple[settings.Network, ...]) -> bool:
    # A Unix socket has no address: whoever can write to it stands beside the server.
    return address is None or any(address in network for network in networks)


def loaded_user(request: HttpRequest) -> tuple[Any, bool]:
    """The key of the request's user, and whether they are staff; ``(None, False)`` where nobody
    loaded the user.

    Looking at ``request.user`` itself would run a query and make every answer vary by cookie. Code
    of a custom user class runs without access to the database, and may raise.
    """
    known = request.__dict__
    user = known.get("user")
    if isinstance(user, LazyObject):
        user = user.__dict__.get("_wrapped", empty)
        if user is empty:
            user = None
    if user is None:
        user = known.get("_acached_user")
        if user is None:
            user = known.get("_cached_user")
            if user is None:
                return None, False
    token = current.set(WITHOUT_DATABASE)
    try:
        if not getattr(user, "is_authenticated", False):
            return None, False
        return user.pk, bool(getattr(user, "is_staff", False))
    finally:
        current.reset(token)
