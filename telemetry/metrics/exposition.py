"""The text of a scrape: Prometheus 0.0.4 or OpenMetrics 1.0, as the scraper asks for it."""

from __future__ import annotations

import gzip
import hmac
import logging
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from prometheus_client.exposition import (
    CONTENT_TYPE_PLAIN_0_0_4,
    choose_encoder,
    generate_latest,
)
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import CollectorRegistry

from telemetry import settings
from telemetry.metrics import registered
from telemetry.metrics.definitions import DEFINITIONS
from telemetry.metrics.metric import Metric
from telemetry.metrics.process import measure
from telemetry.metrics.store import instance
from telemetry.metrics.text import head, number
from telemetry.settings import METRICS_TOKEN

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scrape:
    body: bytes
    headers: dict[str, str]


Encoder = Callable[[CollectorRegistry], bytes]


class _Others(CollectorRegistry):
    """What somebody else computes when it is asked, and what only prometheus_client's encoders can
    write."""

    def __init__(self) -> None:
        super().__init__()
        self._families, self.names = registered.computed_families()

    def add(self, families: list[Family]) -> None:
        self._families += families

    def collect(self) -> Iterable[Family]:
        return self._families

    def encoded(self, encoder: Encoder) -> bytes:
        try:
            return encoder(self)
        except Exception:
            logger.warning("some collector's samples cannot be written", exc_info=True)
        families, self._families = self._families, []
        for family in families:
            self._families.append(family)
            try:
                encoder(self)
            except Exception:  # noqa: BLE001  told above
                self._families.pop()
        return encoder(self)


def scrape(accept: str = "", accept_encoding: str = "") -> Scrape:
    """All metrics of the instance, in the format that the two request headers ask for."""
    try:
        encoder, content_type = choose_encoder(_wanted(accept))
    except (ValueError, TypeError):
        # A version that is no number.
        encoder, content_type = generate_latest, CONTENT_TYPE_PLAIN_0_0_4
    openmetrics = content_type.startswith("application/openmetrics-text")
    registered.reconcile()
    others = _Others()
    text, quoted = instance.reader().read(
        openmetrics=openmetrics,
        exemplar_age=settings.get().EXEMPLAR_SECONDS,
        leave_out=others.names,
    )
    others.add(quoted)
    text += "".join(_ours(others.names, openmetrics=openmetrics))
    # OpenMetrics ends with a line of its own, which their encoder writes: ours go before theirs.
    # Texts are cleaned when a series is made; those of a file that somebody else wrote are not.
    body = text.encode(errors="replace") + others.encoded(encoder)
    if openmetrics:
        content_type = re.sub(r"version=[^;]*", "version=1.0.0", content_type)
    headers = {"Content-Type": content_type, "Vary": "Accept, Accept-Encoding"}
    if _takes_gzip(accept_encoding):
        body = gzip.compress(body, compresslevel=1)
        headers["Content-Encoding"] = "gzip"
    return Scrape(body, headers)


def _ours(leave_out: set[str], *, openmetrics: bool) -> Iterator[str]:
    """``process_*``, and the names of the metrics that have no series yet."""
    for definition, value in measure(instance):
        if definition.family not in leave_out:
            yield _head(definition, openmetrics=openmetrics)
            yield f"{definition.name} {number(value)}\n"
    known = instance.reader().shown | leave_out
    for definition in DEFINITIONS:
        if not definition.scraped and definition.family not in known:
            yield _head(definition, openmetrics=openmetrics)


def _head(definition: Metric[Any], *, openmetrics: bool) -> str:
    return head(
        definition.family, definition.kind, definition.documentation, openmetrics=openmetrics
    )


def _wanted(accept: str) -> str:
    """What of an Accept header counts, by its weights (RFC 9110, section 12.5.1).

    prometheus_client 0.25 takes OpenMetrics wherever it is named, be it refused.
    """
    weighed: list[tuple[float, str]] = []
    for kind in accept.lower().split(","):
        given = re.search(r";\s*q=([01](?:\.\d{0,3})?)\s*(?:;|$)", kind)
        weight = float(given[1]) if given else 1.0
        if weight > 0:
            weighed.append((weight, kind))
    wanted: list[str] = []
    for _, kind in sorted(weighed, key=lambda each: -each[0]):
        wanted.append(kind)
        if kind.partition(";")[0].strip() == "text/plain":
            break
    return ",".join(wanted)


def _takes_gzip(accept_encoding: str) -> bool:
    """RFC 9110, section 12.5.3: a coding with the weight 0 is refused."""
    for given in accept_encoding.lower().split(","):
        coding, _, weight = given.partition(";")
        if coding.strip() in {"gzip", "*"}:
            return re.fullmatch(r"\s*q=0(\.0*)?\s*", weight) is None
    return False


def allowed(authorization: str) -> bool:
    """Whether a scraper with this Authorization header may read the metrics (RFC 6750)."""
    token = METRICS_TOKEN.read()
    if not token:
        return True
    scheme, _, given = authorization.partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(
        given.strip().encode(), token.encode()
    )
