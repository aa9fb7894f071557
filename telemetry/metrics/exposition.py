"""The text of a scrape: Prometheus 0.0.4 or OpenMetrics 1.0, as the scraper asks for it."""

from __future__ import annotations

import gzip
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import CollectorRegistry

from telemetry.metrics.definitions import DEFINITIONS
from telemetry.metrics.process import InstanceCollector
from telemetry.metrics.store import instance
from telemetry.settings import METRICS_TOKEN


@dataclass(frozen=True)
class Scrape:
    body: bytes
    headers: dict[str, str]


class _Everything(CollectorRegistry):
    """The store's metrics, then those measured at the scrape."""

    def collect(self) -> Iterable[Metric]:
        shown = set()
        for family in chain(instance.registry().collect(), InstanceCollector(instance).collect()):
            shown.add(family.name)
            yield family
        for definition in DEFINITIONS:
            # What has no series yet is announced all the same.
            name = definition.name.removesuffix("_total")
            if name not in shown:
                yield Metric(name, definition.documentation, definition.kind)


def scrape(accept: str = "", accept_encoding: str = "") -> Scrape:
    """All metrics of the instance, in the format that the two request headers ask for."""
    encoder, content_type = choose_encoder(accept)
    body: bytes = encoder(_Everything())
    headers = {"Content-Type": content_type, "Vary": "Accept, Accept-Encoding"}
    if "gzip" in accept_encoding.lower():
        body = gzip.compress(body, compresslevel=1)
        headers["Content-Encoding"] = "gzip"
    return Scrape(body, headers)


def allowed(authorization: str) -> bool:
    """Whether a scraper with this Authorization header may read the metrics (RFC 6750)."""
    token = METRICS_TOKEN.read()
    if not token:
        return True
    scheme, _, given = authorization.partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(
        given.strip().encode(), token.encode()
    )
