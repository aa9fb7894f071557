"""The same service bare, with the usual assembly, and with telemetry: one gunicorn worker each."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace

from benchmarks import arena
from testing.servers import Server

BARE = "bare"
REFERENCE = "reference assembly"
OURS = "telemetry"
ONE_PERCENT = "telemetry, 1 % sampled"
SDK = "telemetry, SDK spans"
CONTRIB = "telemetry, contrib spans"
UNTRACED = "telemetry, no traces"
SILENT = "telemetry, no request line"


@dataclass(frozen=True)
class Variant:
    environment: dict[str, str] = field(default_factory=dict)
    configuration: str = "benchmarks/plain_gunicorn.py"
    application: str = "config.wsgi"

    def command(self, prefix: list[str]) -> Callable[[int], list[str]]:
        return lambda port: [
            *prefix,
            *(sys.executable, "-m", "gunicorn", "-c", self.configuration, self.application),
            *("--bind", f"127.0.0.1:{port}", "--workers", "1", "--timeout", "600"),
            # Where a second thread is begun by chance, the two take turns, each with a database
            # connection and caches of its own: a twentieth of a request's CPU.
            *("--threads", "1"),
        ]


_OWN = "config/gunicorn.conf.py"

VARIANTS = {
    BARE: Variant({"DJANGO_SETTINGS_MODULE": "benchmarks.bare_settings"}),
    REFERENCE: Variant(
        {"DJANGO_SETTINGS_MODULE": "benchmarks.reference_settings"},
        application="benchmarks.reference_wsgi",
    ),
    OURS: Variant(configuration=_OWN),
    ONE_PERCENT: Variant(
        {
            "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
            "OTEL_TRACES_SAMPLER_ARG": "0.01",
        },
        configuration=_OWN,
    ),
    SDK: Variant({"TELEMETRY_SPANS": "sdk"}, configuration=_OWN),
    CONTRIB: Variant({"TELEMETRY_SPANS": "contrib"}, configuration=_OWN),
    UNTRACED: Variant({"OTEL_TRACES_EXPORTER": "none"}, configuration=_OWN),
    SILENT: Variant({"LOG_LEVELS": "telemetry.request=CRITICAL"}, configuration=_OWN),
}
#: What each signal costs is asked for on its own: all beside bare.
SIGNALS = (BARE, OURS, UNTRACED, SILENT)
#: The same under callgrind.
SLOWLY = {
    name: replace(variant, configuration="benchmarks/slow_gunicorn.py")
    if variant.configuration == _OWN
    else variant
    for name, variant in VARIANTS.items()
}
USUAL = tuple(name for name in VARIANTS if name not in {CONTRIB, UNTRACED, SILENT})

#: The requests that are measured; the first finds its path in the data.
DETAIL, LIST = "detail", "list"


@contextmanager
def running(
    prefix: Callable[[str], list[str]] = lambda _name: [],
    only: Sequence[str] = USUAL,
    ready_within: float = 30,
    also: dict[str, str] | None = None,
    variants: Mapping[str, Variant] = VARIANTS,
) -> Iterator[dict[str, Server]]:
    """These variants, on one database with demo data and one receiver of spans; ``also`` are
    variables that all of them get."""
    with ExitStack() as stack:
        environment = stack.enter_context(arena.database())
        endpoint = stack.enter_context(arena.receiver())
        servers = {}
        for name, variant in variants.items():
            if name not in only:
                continue
            servers[name] = Server(
                variant.command(prefix(name)),
                {
                    **environment,
                    "OTEL_TRACES_EXPORTER": "otlp",
                    "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
                    "PYTHONHASHSEED": "0",
                    **(also or {}),
                    **variant.environment,
                },
                name,
                ready="/api/schema/",
                ready_within=ready_within,
            )
            stack.callback(servers[name].stop)
        yield servers


def paths(client: arena.Client) -> dict[str, str]:
    return {DETAIL: client.first_expense(), LIST: "/api/v1/expenses/?limit=20"}
