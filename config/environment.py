"""The project's own environment variables. Those of telemetry are in telemetry/settings.py."""

from __future__ import annotations

import ipaddress
import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from telemetry.environment import (
    Variable,
    WrongEnvironmentError,
    boolean,
    integer,
    text,
    url,
    words,
)

#: Whether this process is a server, whose statements must be quick, and no command.
#: ``config.wsgi``, ``config.asgi`` and ``manage.py runserver`` say so before the settings are read.
serves_requests = False


def database_url(value: str) -> dict[str, Any]:
    """``postgresql://user:password@host:port/name?option=value`` as Django's ``DATABASES`` entry.

    Options are libpq's own, ``sslmode`` for one. ``host`` may be a folder of Unix sockets,
    percent-encoded. Raises ValueError.
    """
    wanted = "must look like postgresql://user:password@host:5432/name"
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise ValueError(wanted) from None
    name = unquote(parts.path.lstrip("/"))
    if parts.scheme not in {"postgresql", "postgres"} or not parts.hostname or not name:
        raise ValueError(wanted)
    return {
        "NAME": name,
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": unquote(parts.hostname),
        "PORT": str(port or ""),
        "OPTIONS": dict(parse_qsl(parts.query)),
    }


def origins(value: str) -> tuple[str, ...]:
    """Origins as browsers send them: ``https://app.example``; no path, no star."""
    found = words(value)
    for origin in found:
        if not re.fullmatch(r"https?://[A-Za-z0-9.*-]+(:\d{1,5})?", origin):
            raise ValueError("must be origins like https://app.example, separated by commas")
    return found


def hosts(value: str) -> tuple[str, ...]:
    found = words(value)
    for host in found:
        if not re.fullmatch(r"\*|\.?[A-Za-z0-9._-]+|\[[0-9A-Fa-f:]+\]", host):
            raise ValueError("must be host names separated by commas, without scheme and port")
    return found


def seconds(value: str) -> float:
    """A number of seconds, 0 to a week."""
    wanted = "must be a number of seconds from 0 to 604800"
    try:
        number = float(value)
    except ValueError:
        raise ValueError(wanted) from None
    if not 0 <= number <= 604_800:
        raise ValueError(wanted)
    return number


def proxies(value: str) -> tuple[str, ...]:
    """Addresses, networks (``10.0.0.0/8``) or ``*``."""
    found = words(value)
    for proxy in found:
        try:
            if proxy != "*":
                ipaddress.ip_network(proxy)
        except ValueError as error:
            raise ValueError(
                f"must be addresses, networks or *, separated by commas ({error})"
            ) from None
    return found


DJANGO_HTTPS: Variable[bool | None] = Variable(
    "DJANGO_HTTPS",
    boolean,
    None,
    "1 for a service that browsers reach by https alone: http is redirected, cookies are sent by "
    "https only, and browsers are told so (HSTS). Unset: 1 outside DEMO and DJANGO_DEBUG.",
)
DJANGO_HSTS_SECONDS = Variable(
    "DJANGO_HSTS_SECONDS",
    integer(0, 63_072_000),
    31_536_000,
    "Seconds that browsers remember to use https (a year); 0 leaves the header out.",
)
DJANGO_HSTS_SUBDOMAINS = Variable(
    "DJANGO_HSTS_SUBDOMAINS",
    boolean,
    False,
    "1 where every name below the host is reached by https as well.",
)
DJANGO_HSTS_PRELOAD = Variable(
    "DJANGO_HSTS_PRELOAD",
    boolean,
    False,
    "1 to let browsers' makers put the host on their list of https alone, which is hard to leave.",
)
DJANGO_SECRET_KEY = Variable(
    "DJANGO_SECRET_KEY",
    text,
    "",
    "Signs sessions and tokens; at least 32 characters. Required outside DEMO.",
    secret=True,
)
DATABASE_URL = Variable[dict[str, Any] | None](
    "DATABASE_URL",
    database_url,
    None,
    "The PostgreSQL database, postgresql://user:password@host:5432/name. Required.",
    secret=True,
)
DATABASE_STATEMENT_TIMEOUT = Variable(
    "DATABASE_STATEMENT_TIMEOUT",
    seconds,
    4.0,
    "Seconds that a statement of a request may take; half a second later its connection is closed "
    "without the server's help. 0 for no limit.",
)
DATABASE_LOCK_TIMEOUT = Variable(
    "DATABASE_LOCK_TIMEOUT",
    seconds,
    2.0,
    "Seconds that a statement of a request waits for a lock. 0 for no limit.",
)
DATABASE_IDLE_TIMEOUT = Variable(
    "DATABASE_IDLE_TIMEOUT",
    seconds,
    30.0,
    "Seconds that a transaction of a request may be idle (idle_in_transaction_session_timeout). "
    "0 for no limit.",
)
DATABASE_COMMAND_TIMEOUT = Variable(
    "DATABASE_COMMAND_TIMEOUT",
    seconds,
    3600.0,
    "Seconds that a statement of a management command, such as migrate, may take or wait for a "
    "lock. 0 for no limit.",
)
DATABASE_BEHIND_PGBOUNCER = Variable(
    "DATABASE_BEHIND_PGBOUNCER",
    boolean,
    False,
    "1 for PgBouncer in transaction mode: no startup options, no server-side cursors. The timeouts "
    "of the server then belong to the role.",
)
DJANGO_ALLOWED_HOSTS = Variable[tuple[str, ...]](
    "DJANGO_ALLOWED_HOSTS",
    hosts,
    ("localhost", "127.0.0.1", "[::1]"),
    "Host names that the API answers to, separated by commas.",
)
DJANGO_DEBUG = Variable(
    "DJANGO_DEBUG", boolean, False, "1 shows tracebacks to the browser. Never in production."
)
CSRF_TRUSTED_ORIGINS = Variable[tuple[str, ...]](
    "CSRF_TRUSTED_ORIGINS",
    origins,
    (),
    "Origins whose forms the admin accepts when it stands behind a proxy with TLS.",
)
CORS_ALLOWED_ORIGINS = Variable[tuple[str, ...]](
    "CORS_ALLOWED_ORIGINS", origins, (), "Origins whose browser pages may call the API."
)
FORWARDED_ALLOW_IPS = Variable[tuple[str, ...]](
    "FORWARDED_ALLOW_IPS",
    proxies,
    ("127.0.0.1", "::1"),
    "Proxies whose X-Forwarded-For and X-Forwarded-Proto are believed: addresses, networks such as "
    "10.0.0.0/8, or * for any.",
)
LOGIN_PROBE_TOKEN = Variable(
    "LOGIN_PROBE_TOKEN",
    text,
    "",
    "A monitoring probe that sends this in the header X-Login-Probe is not held up by failed "
    "logins when it logs in as LOGIN_PROBE_USERNAME; at least 32 characters.",
    secret=True,
)
LOGIN_PROBE_USERNAME = Variable(
    "LOGIN_PROBE_USERNAME", text, "probe", "Name of the probe's user, who needs no permission."
)
WEB_CONCURRENCY = Variable(
    "WEB_CONCURRENCY", integer(1, 256), 2, "Worker processes of gunicorn, of 4 threads each."
)
DJANGO_STRUCTLOG = Variable(
    "DJANGO_STRUCTLOG",
    boolean,
    False,
    "1 adds django-structlog's middleware: its request_id and the metadata of its signals are on "
    "the records of a request, of which telemetry writes one.",
)
DEMO = Variable(
    "DEMO", boolean, False, "1 brings demo users and the fault switch. Never in production."
)
DEMO_PASSWORD = Variable(
    "DEMO_PASSWORD", text, "", "Password that seed_demo gives the demo users.", secret=True
)
DEMO_ADMIN_PASSWORD = Variable(
    "DEMO_ADMIN_PASSWORD", text, "", "Password that seed_demo gives the user admin.", secret=True
)
DEMO_RATES_URL = Variable(
    "DEMO_RATES_URL",
    url,
    "",
    "Where the demo's second service answers, for /api/v1/demo/rates/EUR/.",
)
JAEGER_UI_URL = Variable(
    "JAEGER_UI_URL", url, "http://localhost:16686", "Where people open Jaeger; links lead there."
)
GRAFANA_URL = Variable(
    "GRAFANA_URL", url, "http://localhost:3001", "Where people open Grafana; links lead there."
)

VARIABLES: tuple[Variable[Any], ...] = (
    DJANGO_SECRET_KEY,
    DATABASE_URL,
    DATABASE_STATEMENT_TIMEOUT,
    DATABASE_LOCK_TIMEOUT,
    DATABASE_IDLE_TIMEOUT,
    DATABASE_COMMAND_TIMEOUT,
    DATABASE_BEHIND_PGBOUNCER,
    DJANGO_ALLOWED_HOSTS,
    DJANGO_DEBUG,
    DJANGO_HTTPS,
    DJANGO_HSTS_SECONDS,
    DJANGO_HSTS_SUBDOMAINS,
    DJANGO_HSTS_PRELOAD,
    CSRF_TRUSTED_ORIGINS,
    CORS_ALLOWED_ORIGINS,
    FORWARDED_ALLOW_IPS,
    LOGIN_PROBE_TOKEN,
    LOGIN_PROBE_USERNAME,
    WEB_CONCURRENCY,
    DJANGO_STRUCTLOG,
    DEMO,
    DEMO_PASSWORD,
    DEMO_ADMIN_PASSWORD,
    DEMO_RATES_URL,
    JAEGER_UI_URL,
    GRAFANA_URL,
)


def https(*, local: bool) -> bool:
    """Whether browsers come by https alone; not in a ``local`` run, unless it says so."""
    named = DJANGO_HTTPS.read()
    return not local if named is None else named


def heartbeat_folder() -> str:
    """Return the folder of the files by which gunicorn sees that its workers live.

    Memory where there is some: a slow disk must not look like a dead worker. Raises
    WrongEnvironmentError where no folder can be written.
    """
    memory = Path("/dev/shm")  # noqa: S108  gunicorn makes a file of its own in it
    folders = [memory, Path(os.environ.get("PROMETHEUS_MULTIPROC_DIR", "") or memory)]
    with suppress(FileNotFoundError):
        folders.append(Path(tempfile.gettempdir()))
    for folder in folders:
        if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
            return str(folder)
    raise WrongEnvironmentError(
        "TMPDIR",
        "must name a folder that can be written, as /dev/shm cannot: gunicorn and the metrics keep "
        "small files there",
    )


def forwarded_allow_ips() -> str:
    """The proxies for gunicorn's setting of this name.

    gunicorn 27 takes networks, but does not take ``::ffff:10.0.0.1``, which it sees when it listens
    on ``[::]``, for an address inside ``10.0.0.0/8``: each IPv4 network is named in both forms.
    """
    named = list(FORWARDED_ALLOW_IPS.read())
    for proxy in [proxy for proxy in named if proxy != "*"]:
        network = ipaddress.ip_network(proxy)
        if isinstance(network, ipaddress.IPv4Network):
            named.append(f"::ffff:{network.network_address}/{network.prefixlen + 96}")
    return ",".join(named)


def secret_key(*, demo: bool) -> str:
    """The secret key; a demo without one gets a key that is known to everybody, and only a demo."""
    key = DJANGO_SECRET_KEY.read()
    if not key and demo:
        return "demo-only-not-a-secret-" + "0" * 32
    if not key:
        raise WrongEnvironmentError("DJANGO_SECRET_KEY", "is required (or set DEMO=1 for a demo)")
    if len(key) < 32:
        raise WrongEnvironmentError("DJANGO_SECRET_KEY", "must have at least 32 characters")
    return key


def login_probe_token() -> str:
    token = LOGIN_PROBE_TOKEN.read()
    if token and len(token) < 32:
        raise WrongEnvironmentError("LOGIN_PROBE_TOKEN", "must have at least 32 characters")
    return token


def database() -> dict[str, Any]:
    found = DATABASE_URL.read()
    if found is None:
        raise WrongEnvironmentError(
            "DATABASE_URL", "is required, like postgresql://user:password@host:5432/name"
        )
    return found
