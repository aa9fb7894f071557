"""Every setting of telemetry: the ``TELEMETRY`` dict of Django's settings and the environment.

Code asks :func:`get` for the settings and a :class:`~telemetry.environment.Variable` for the
environment; nobody reads ``os.environ`` or ``django.conf.settings`` beside this module.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.dispatch import receiver
from django.utils.http import is_same_domain

from telemetry.environment import (
    Variable,
    address,
    choice,
    file,
    integer,
    levels,
    otel_boolean,
    ratio,
    text,
    url,
    words,
)

T = TypeVar("T")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _host(value: str) -> str:
    # IPv6 also as in an address of the web, [::1]; a zone names the interface of a link-local one.
    bare = value[1:-1] if value.startswith("[") and value.endswith("]") else value
    if not re.fullmatch(r"[A-Za-z0-9._:-]{1,253}(%[A-Za-z0-9._-]{1,64})?", bare):
        raise ValueError("must be a host name or address")
    return bare


#: Milliseconds, and numbers of spans: what fits into 32 bits, as OpenTelemetry sets no bound.
_MOST = (1 << 31) - 1
#: Seconds that an export may take at most, whatever is asked for.
_LONGEST_EXPORT = 3600.0


def _seconds(value: str) -> float:
    """Seconds of a time-out; 0 is no limit but ours, as the specification has it."""
    try:
        number = float(value)
    except ValueError:
        raise ValueError("must be a number of seconds") from None
    if not number >= 0:
        raise ValueError("must be a number of seconds, 0 or more")
    return min(number, _LONGEST_EXPORT) if number else _LONGEST_EXPORT


#: RFC 9110, sections 5.1 and 5.5: a token; visible ASCII, spaces, tabs and ISO-8859-1.
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\xa0-\xff]*")


def _headers(value: str) -> dict[str, str]:
    """Headers as ``name=value,…``, percent-encoded; names in lower case, as OpenTelemetry has them.

    Specification of the OTLP exporter, "Specifying headers via environment variables".
    """
    found = {}
    for pair in words(value):
        name, separator, content = (unquote(part).strip() for part in pair.partition("="))
        if (
            not separator
            or not _HEADER_NAME.fullmatch(name)
            or not _HEADER_VALUE.fullmatch(content)
        ):
            raise ValueError(
                "must be key=value,… with keys and values that HTTP can send; a comma in a value "
                "is written %2C"
            )
        found[name.lower()] = content
    return found


#: Names of exporters: those of the specification and of OpenTelemetry's packages for Python.
_EXPORTERS = {
    "otlp": "otlp",
    "otlp_proto_http": "otlp",
    "jaeger": "jaeger",
    "jaeger_thrift": "jaeger",
    "console": "console",
    "logging": "console",
    "none": "none",
}


def _exporters(value: str) -> str:
    """A list of exporters, each once and by its first name; none alone if it is among them."""
    named = [name.lower() for name in words(value)]
    if not named or not _EXPORTERS.keys() >= set(named):
        raise ValueError("must be otlp, jaeger, console or none, or a list of them")
    found = dict.fromkeys(_EXPORTERS[name] for name in named)
    return "none" if "none" in found else ",".join(found)


def _is_grpc() -> bool:
    return (OTEL_EXPORTER_OTLP_TRACES_PROTOCOL.read() or "") == "grpc"


def _receiver(parse: Callable[[str], str]) -> Callable[[str], str]:
    """An address of an OTLP receiver; for gRPC alone ``host:port`` is one."""

    def receiver(value: str) -> str:
        if not _is_grpc():
            return parse(value)
        if "@" in value:
            raise ValueError("must have no login with gRPC: put it into OTEL_EXPORTER_OTLP_HEADERS")
        return value if re.fullmatch(r"[\w.\-\[\]:]+:\d{1,5}", value) else parse(value)

    return receiver


#: Samplers that the specification names and this package has not got.
_OTHER_SAMPLERS = ("jaeger_remote", "parentbased_jaeger_remote", "xray")


def _sampler_argument(value: str) -> float:
    """The ratio of a sampler that has one; what others are told is theirs."""
    try:
        return ratio(value)
    except ValueError:
        if OTEL_TRACES_SAMPLER.read().endswith("traceidratio"):
            raise
        return 1.0


def _for_traces(general: Variable[T]) -> Variable[T]:
    """The same variable of traces alone, which wins over the general one.

    OpenTelemetry specification, "Configuration Options" of the OTLP exporter.
    """
    return Variable(
        general.name.replace("_OTLP_", "_OTLP_TRACES_"),
        general.parse,
        general.default,
        "The same for traces alone.",
        secret=general.secret,
        general=general,
    )


OTEL_SERVICE_NAME = Variable(
    "OTEL_SERVICE_NAME", text, "", "Name of the service in traces; the setting SERVICE_NAME else."
)
OTEL_RESOURCE_ATTRIBUTES = Variable(
    "OTEL_RESOURCE_ATTRIBUTES", text, "", "More about the service on every span, as key=value,…"
)
OTEL_TRACES_EXPORTER = Variable(
    "OTEL_TRACES_EXPORTER",
    _exporters,
    "",
    "Where traces go: otlp, jaeger, console or none, or several of them, as otlp,console. Unset: "
    "otlp if an endpoint is set, else the setting TRACES_EXPORTER.",
)
OTEL_EXPORTER_OTLP_ENDPOINT = Variable(
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    _receiver(url),
    "",
    "Base address of the OTLP receiver; a login in it is sent as Basic authentication.",
)
OTEL_EXPORTER_OTLP_TRACES_ENDPOINT = Variable(
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    _receiver(address),
    "",
    "Full address for traces, /v1/traces included.",
)
OTEL_EXPORTER_OTLP_PROTOCOL = Variable(
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    choice("http/protobuf", "grpc"),
    "http/protobuf",
    "http/protobuf, or grpc where opentelemetry-exporter-otlp-proto-grpc is installed.",
)
OTEL_EXPORTER_OTLP_HEADERS: Variable[dict[str, str]] = Variable(
    "OTEL_EXPORTER_OTLP_HEADERS",
    _headers,
    {},
    "Headers for the receiver, as key=value,…",
    secret=True,
)
OTEL_EXPORTER_OTLP_TIMEOUT = Variable(
    "OTEL_EXPORTER_OTLP_TIMEOUT",
    _seconds,
    10.0,
    "Seconds (not milliseconds) that one export may take, retries included; 0, or more than 3600, "
    "is an hour.",
)
OTEL_EXPORTER_OTLP_COMPRESSION = Variable(
    "OTEL_EXPORTER_OTLP_COMPRESSION",
    choice("gzip", "deflate", "none"),
    "none",
    "gzip, deflate or none.",
)
OTEL_EXPORTER_OTLP_CERTIFICATE = Variable(
    "OTEL_EXPORTER_OTLP_CERTIFICATE",
    file,
    "",
    "File of an https receiver's authorities.",
)
OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE = Variable(
    "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", file, "", "File of our own certificate for it."
)
OTEL_EXPORTER_OTLP_CLIENT_KEY = Variable(
    "OTEL_EXPORTER_OTLP_CLIENT_KEY", file, "", "File of that certificate's key."
)
OTEL_EXPORTER_OTLP_TRACES_PROTOCOL = _for_traces(OTEL_EXPORTER_OTLP_PROTOCOL)
OTEL_EXPORTER_OTLP_TRACES_HEADERS = _for_traces(OTEL_EXPORTER_OTLP_HEADERS)
OTEL_EXPORTER_OTLP_TRACES_TIMEOUT = _for_traces(OTEL_EXPORTER_OTLP_TIMEOUT)
OTEL_EXPORTER_OTLP_TRACES_COMPRESSION = _for_traces(OTEL_EXPORTER_OTLP_COMPRESSION)
OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE = _for_traces(OTEL_EXPORTER_OTLP_CERTIFICATE)
OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE = _for_traces(OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE)
OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY = _for_traces(OTEL_EXPORTER_OTLP_CLIENT_KEY)
OTEL_TRACES_SAMPLER = Variable(
    "OTEL_TRACES_SAMPLER",
    choice(
        "always_on",
        "always_off",
        "traceidratio",
        "parentbased_always_on",
        "parentbased_always_off",
        "parentbased_traceidratio",
        *_OTHER_SAMPLERS,
    ),
    "parentbased_always_on",
    "Which traces are kept, by OpenTelemetry's names; for a remote sampler, which is not here, a "
    "WARNING and the default.",
)
OTEL_TRACES_SAMPLER_ARG = Variable(
    "OTEL_TRACES_SAMPLER_ARG",
    _sampler_argument,
    1.0,
    "The ratio of the ratio samplers, 0 to 1; not read for others.",
)
OTEL_BSP_SCHEDULE_DELAY = Variable(
    "OTEL_BSP_SCHEDULE_DELAY",
    integer(0, _MOST),
    1000,
    "Milliseconds between two exports, at least 10.",
)
OTEL_BSP_MAX_QUEUE_SIZE = Variable(
    "OTEL_BSP_MAX_QUEUE_SIZE",
    integer(1, _MOST),
    2048,
    "Spans that may wait for the export in one process; more are dropped and counted.",
)
OTEL_BSP_MAX_EXPORT_BATCH_SIZE = Variable(
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
    integer(1, _MOST),
    512,
    "Spans in one export, at most as many as the queue may hold.",
)
OTEL_BSP_EXPORT_TIMEOUT = Variable(
    "OTEL_BSP_EXPORT_TIMEOUT",
    integer(0, _MOST),
    5000,
    "Milliseconds that a stopping process may take to export what waits; 0: as long as each export "
    "may take.",
)
OTEL_EXPORTER_PROMETHEUS_HOST = Variable(
    "OTEL_EXPORTER_PROMETHEUS_HOST",
    _host,
    "127.0.0.1",
    "Address that the metrics-only port listens on; `::` is every address of IPv6 and IPv4.",
)
PROMETHEUS_PORT: Variable[int | None] = Variable(
    "PROMETHEUS_PORT",
    integer(0, 65535),
    None,
    "The metrics-only port; 0 switches it off. Unset: the setting METRICS_PORT, which is 8000 in "
    "this project.",
)
PROMETHEUS_MULTIPROC_DIR = Variable(
    "PROMETHEUS_MULTIPROC_DIR",
    text,
    "",
    "Folder under which each instance keeps its metric files. Unset: the first that can be written "
    "of systemd's RUNTIME_DIRECTORY, /dev/shm and the folder for temporary files.",
)
METRICS_TOKEN = Variable(
    "METRICS_TOKEN",
    text,
    "",
    "Bearer token that /metrics and the metrics-only port ask for; nobody is asked without it.",
    secret=True,
)
JAEGER_AGENT_HOST = Variable("JAEGER_AGENT_HOST", _host, "localhost", "Host of the Jaeger agent.")
JAEGER_AGENT_PORT = Variable(
    "JAEGER_AGENT_PORT", integer(1, 65535), 6831, "UDP port of the Jaeger agent."
)
LOG_LEVEL = Variable(
    "LOG_LEVEL",
    choice("debug", "info", "warning", "error", "critical"),
    "info",
    "Lines below this level are not written.",
)
LOG_LEVELS: Variable[dict[str, str]] = Variable(
    "LOG_LEVELS",
    levels,
    {},
    "Levels of single loggers, as django.db.backends=DEBUG,expenses=WARNING.",
)
LOG_FORMAT = Variable(
    "LOG_FORMAT", choice("json", "console"), "json", "json, or console for people."
)
BUILD_VERSION = Variable("BUILD_VERSION", text, "unknown", "The label version of build_info.")
BUILD_COMMIT = Variable("BUILD_COMMIT", text, "unknown", "The label commit of build_info.")

SPAN_SOURCES = ("own", "sdk", "contrib")
TELEMETRY_SPANS = Variable(
    "TELEMETRY_SPANS",
    choice(*SPAN_SOURCES),
    "",
    "Who makes the spans: own, sdk or contrib, as the setting SPANS, which counts when this is "
    "unset.",
)
OTEL_SDK_DISABLED = Variable(
    "OTEL_SDK_DISABLED",
    otel_boolean,
    False,
    "true or 1 switches tracing off; metrics and logs stay.",
)

_EVERYWHERE = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))


def _unmapped(network: Network) -> Network:
    """``::ffff:10.0.0.0/104`` as ``10.0.0.0/8``: addresses are compared as IPv4."""
    if isinstance(network, ipaddress.IPv6Network) and network.prefixlen >= 96:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return ipaddress.ip_network((mapped, network.prefixlen - 96))
    return network


VARIABLES: tuple[Variable[Any], ...] = (
    OTEL_SERVICE_NAME,
    OTEL_RESOURCE_ATTRIBUTES,
    OTEL_SDK_DISABLED,
    TELEMETRY_SPANS,
    OTEL_TRACES_EXPORTER,
    OTEL_EXPORTER_OTLP_ENDPOINT,
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT,
    OTEL_EXPORTER_OTLP_PROTOCOL,
    OTEL_EXPORTER_OTLP_TRACES_PROTOCOL,
    OTEL_EXPORTER_OTLP_HEADERS,
    OTEL_EXPORTER_OTLP_TRACES_HEADERS,
    OTEL_EXPORTER_OTLP_TIMEOUT,
    OTEL_EXPORTER_OTLP_TRACES_TIMEOUT,
    OTEL_EXPORTER_OTLP_COMPRESSION,
    OTEL_EXPORTER_OTLP_TRACES_COMPRESSION,
    OTEL_EXPORTER_OTLP_CERTIFICATE,
    OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE,
    OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE,
    OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE,
    OTEL_EXPORTER_OTLP_CLIENT_KEY,
    OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY,
    JAEGER_AGENT_HOST,
    JAEGER_AGENT_PORT,
    OTEL_TRACES_SAMPLER,
    OTEL_TRACES_SAMPLER_ARG,
    OTEL_BSP_SCHEDULE_DELAY,
    OTEL_BSP_MAX_QUEUE_SIZE,
    OTEL_BSP_MAX_EXPORT_BATCH_SIZE,
    OTEL_BSP_EXPORT_TIMEOUT,
    PROMETHEUS_PORT,
    OTEL_EXPORTER_PROMETHEUS_HOST,
    PROMETHEUS_MULTIPROC_DIR,
    METRICS_TOKEN,
    LOG_LEVEL,
    LOG_LEVELS,
    LOG_FORMAT,
    BUILD_VERSION,
    BUILD_COMMIT,
)


def check_environment() -> None:
    """Read every variable once. Raises WrongEnvironmentError for the first wrong one."""
    for variable in VARIABLES:
        variable.read()


@dataclass(frozen=True)
class Settings:
    """The keys of ``TELEMETRY``, with their defaults."""

    #: Name of the service in traces, unless ``OTEL_SERVICE_NAME`` says otherwise.
    SERVICE_NAME: str = "django"
    #: Where traces go when the environment does not say: otlp, jaeger, console or none.
    TRACES_EXPORTER: str = "otlp"
    #: Whose spans: own (light ones), sdk (OpenTelemetry's objects and span processors), or contrib
    #: (OpenTelemetry's Django and psycopg instrumentations make them, ours add what they know).
    SPANS: str = "own"
    #: Continue the trace of a caller's ``traceparent``; else begin one with a link to it.
    TRUST_INCOMING_TRACE: bool = True
    #: Proxies (addresses or networks, ``*`` for any) whose X-Forwarded-For is believed.
    TRUSTED_PROXIES: Sequence[str] = ()
    #: Path of the scrape, which telemetry answers itself.
    METRICS_PATH: str = "/metrics"
    #: Port that serves the metrics alone, unless ``PROMETHEUS_PORT`` says otherwise; 0 for none.
    #: Another one than the server's, which for runserver, gunicorn and uvicorn is 8000.
    METRICS_PORT: int = 0
    #: Path that answers as long as the process is up.
    LIVE_PATH: str = "/health/live"
    #: Path that answers when the database does and every migration was applied.
    READY_PATH: str = "/health/ready"
    #: A request that took longer (seconds) is logged as a warning.
    SLOW_REQUEST_SECONDS: float = 1.0
    #: Management commands that are no work of their own: servers, shells, test runs.
    UNSEEN_COMMANDS: Sequence[str] = (
        "runserver",
        "testserver",
        "test",
        "shell",
        "dbshell",
        "runserver_plus",
        "shell_plus",
    )
    #: The same statement more often than this in one request counts as repeated (N+1).
    REPEATED_QUERIES: int = 10
    #: Spans that one request may have below its own; more are dropped and counted. What outlives
    #: the request, and a command, may have as many again each minute. With SPANS "sdk" those that
    #: your own code begins are not bounded.
    SPANS_PER_TRACE: int = 1000
    #: Series that one metric of telemetry may have in a process; more go to one overflow series.
    SERIES_PER_METRIC: int = 5000
    #: Age in seconds from which an exemplar is no longer shown.
    EXEMPLAR_SECONDS: float = 600.0
    #: Keys whose values are masked in log lines beside those that are known as secrets.
    MASKED_KEYS: Sequence[str] = ()
    #: Hosts whose outgoing calls carry traceparent and X-Correlation-ID, all when it is empty:
    #: api.example.org, or .example.org for it and every host below it.
    PROPAGATE_TO_HOSTS: Sequence[str] = ()
    #: Who sees the database part of Server-Timing outside DEBUG: staff or nobody.
    SERVER_TIMING_DATABASE: str = "staff"
    #: Where django-structlog's middleware is in use as well: put what its records of a request say
    #: on telemetry's record of that request, and do not write them.
    MERGE_DJANGO_STRUCTLOG: bool = False

    @functools.cached_property
    def own_paths(self) -> dict[str, str]:
        """The paths that telemetry answers itself, with the name of what is there."""
        return {self.METRICS_PATH: "metrics", self.LIVE_PATH: "live", self.READY_PATH: "ready"}

    @functools.cached_property
    def trusted_networks(self) -> tuple[Network, ...]:
        return tuple(
            network
            for item in self.TRUSTED_PROXIES
            for network in (
                _EVERYWHERE
                if item == "*"
                else (_unmapped(ipaddress.ip_network(item, strict=False)),)
            )
        )

    def propagates_to(self, host: str) -> bool:
        """Whether calls to ``host``, in lower case, carry our ids."""
        return not self.PROPAGATE_TO_HOSTS or any(
            is_same_domain(host, pattern.lower()) for pattern in self.PROPAGATE_TO_HOSTS
        )

    @functools.cached_property
    def masked_keys(self) -> frozenset[str]:
        return frozenset(key.lower() for key in self.MASKED_KEYS)


_CHOICES = {
    "TRACES_EXPORTER": {"otlp", "jaeger", "console", "none"},
    "SERVER_TIMING_DATABASE": {"staff", "nobody"},
    "SPANS": set(SPAN_SOURCES),
}


def checked(given: Any) -> Settings:
    """``given`` as settings. Raises ImproperlyConfigured for a key or value that cannot be used."""
    known = {field.name: field for field in fields(Settings)}
    if not isinstance(given, dict):
        raise ImproperlyConfigured(f"TELEMETRY must be a dict, not {type(given).__name__}")
    for name, value in given.items():
        if name not in known:
            raise ImproperlyConfigured(
                f"TELEMETRY has no setting {name!r}; it knows {', '.join(sorted(known))}"
            )
        default = known[name].default
        if isinstance(default, tuple):
            right = isinstance(value, list | tuple) and all(isinstance(v, str) for v in value)
        elif isinstance(default, float):
            right = isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
        elif isinstance(default, int) and not isinstance(default, bool):
            # What may be switched off is so by default.
            least = min(default, 1)
            right = isinstance(value, int) and not isinstance(value, bool) and value >= least
        else:
            right = isinstance(value, type(default))
        if not right or (name in _CHOICES and value not in _CHOICES[name]):
            wanted = " or ".join(sorted(_CHOICES.get(name, ()))) or type(default).__name__
            raise ImproperlyConfigured(f"TELEMETRY[{name!r}] must be {wanted}, not {value!r}")
        if name.endswith("_PATH") and not value.startswith("/"):
            raise ImproperlyConfigured(f"TELEMETRY[{name!r}] must begin with a slash: {value!r}")
    # Settings are looked up by their value, which a list has not got for good.
    frozen: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in given.items()
    }
    settings = Settings(**frozen)
    _check_whole(settings)
    return settings


def _check_whole(settings: Settings) -> None:
    """What a value's kind does not tell."""
    paths = [settings.METRICS_PATH, settings.LIVE_PATH, settings.READY_PATH]
    if len(set(paths)) < len(paths):
        raise ImproperlyConfigured(
            f"TELEMETRY: METRICS_PATH, LIVE_PATH and READY_PATH must differ: {', '.join(paths)}"
        )
    if settings.METRICS_PORT > 65535:
        raise ImproperlyConfigured(
            f"TELEMETRY['METRICS_PORT'] must be a port, 0 to 65535, not {settings.METRICS_PORT}"
        )
    try:
        _ = settings.trusted_networks
    except ValueError as error:
        raise ImproperlyConfigured(f"TELEMETRY['TRUSTED_PROXIES']: {error}") from None
    for host in settings.PROPAGATE_TO_HOSTS:
        if not re.fullmatch(r"\.?[A-Za-z0-9_:](?:[A-Za-z0-9._:-]*[A-Za-z0-9_:])?", host):
            raise ImproperlyConfigured(
                f"TELEMETRY['PROPAGATE_TO_HOSTS'] has {host!r}, which is no host: name hosts "
                "without scheme, port or path, as api.example.org, or .example.org for all below it"
            )


def are_there() -> bool:
    """Whether Django's settings are loaded: lines are written before, and while they are."""
    return bool(django_settings.configured)


@functools.lru_cache(maxsize=1)
def get() -> Settings:
    """The settings in force, checked once."""
    return checked(getattr(django_settings, "TELEMETRY", {}))


@functools.lru_cache(maxsize=1)
def debug() -> bool:
    """Django's ``DEBUG``, kept: Django's settings take three thousand instructions to say it."""
    return bool(django_settings.DEBUG)


@functools.lru_cache(maxsize=1)
def scheme_is_told() -> bool:
    """Whether a header of a proxy says that a request came by https, kept as ``debug`` is."""
    return django_settings.SECURE_PROXY_SSL_HEADER is not None


@functools.lru_cache(maxsize=1)
def static_prefix() -> str:
    """Path below which static files are, with slashes around it; empty where every path is."""
    path = urlsplit(str(django_settings.STATIC_URL or "")).path.strip("/")
    return f"/{path}/" if path else ""


_KEPT = {
    "TELEMETRY": get,
    "DEBUG": debug,
    "SECURE_PROXY_SSL_HEADER": scheme_is_told,
    "STATIC_URL": static_prefix,
}


@receiver(setting_changed)
def _forget(*, setting: str, **_signal: Any) -> None:
    """A test overrides a setting, or takes that back."""
    if kept := _KEPT.get(setting):
        kept.cache_clear()


def service_name() -> str:
    return OTEL_SERVICE_NAME.read() or get().SERVICE_NAME


def span_source() -> str:
    """Return who makes the spans, ``own``, ``sdk`` or ``contrib``: the environment wins over the
    setting ``SPANS``."""
    return TELEMETRY_SPANS.read() or get().SPANS


def metrics_port() -> int:
    """The metrics-only port, 0 for none: the environment's word, or the setting."""
    named = PROMETHEUS_PORT.read()
    return get().METRICS_PORT if named is None else named


def traces_sampler() -> str:
    """The sampler in force: the default for one that is not here."""
    named = OTEL_TRACES_SAMPLER.read()
    return OTEL_TRACES_SAMPLER.default if named in _OTHER_SAMPLERS else named


def traces_exporter() -> str:
    """otlp, jaeger, console or none, or several with commas: the environment's word, an endpoint,
    or the setting."""
    if OTEL_SDK_DISABLED.read():
        return "none"
    if named := OTEL_TRACES_EXPORTER.read():
        return named
    if OTEL_EXPORTER_OTLP_ENDPOINT.read() or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT.read():
        return "otlp"
    return get().TRACES_EXPORTER
