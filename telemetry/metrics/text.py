"""The text formats' small parts: labels, help, numbers.

Prometheus text 0.0.4 and OpenMetrics 1.0 agree on them but for quotes in a HELP line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from prometheus_client.utils import floatToGoString

#: Names of the formats' own characters; others (UTF-8) are left to prometheus_client's encoders.
PLAIN_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")

#: Characters of a label's name or value, and of a HELP text. A value is repeated on each line of
#: its series, and kept in memory by every process that reads it.
LONGEST_LABEL = 1024
LONGEST_HELP = 4096

#: NUL ends a scrape for Prometheus' parser; a lone surrogate cannot be encoded as UTF-8.
_NOT_IN_A_SCRAPE = re.compile("[\x00\ud800-\udfff]")


def clean(value: object, longest: int = LONGEST_LABEL) -> str:
    """Return the text of ``value`` as a scrape can show it. Never raises.

    What UTF-8 or Prometheus' parser cannot take becomes U+FFFD; what is longer than ``longest``
    characters is cut, with an ellipsis at its end.
    """
    if isinstance(value, str):
        # Of a subclass the characters alone.
        text = str.__str__(value)
    else:
        try:
            text = str(value)
        except Exception:  # noqa: BLE001  code of whoever made the value
            text = f"<{type(value).__name__}>"
    if len(text) > longest:
        text = f"{text[: longest - 1]}\u2026"
    return _NOT_IN_A_SCRAPE.sub("\ufffd", text)


def escape(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def label_text(labels: Iterable[tuple[str, str]]) -> str:
    """``a="1",b="2"``, in the order given."""
    return ",".join(f'{name}="{escape(value)}"' for name, value in labels)


def braces(labels: Iterable[tuple[str, str]]) -> str:
    """``{a="1",b="2"}``, nothing without labels."""
    text = label_text(labels)
    return f"{{{text}}}" if text else ""


def number(value: float) -> str:
    """A sample's value, infinities and NaN too."""
    return str(floatToGoString(value))  # type: ignore[no-untyped-call]


def head(name: str, kind: str, documentation: str, *, openmetrics: bool) -> str:
    """The HELP and TYPE lines of a metric; ``name`` without a counter's ``_total``."""
    if openmetrics:
        documentation = escape(documentation)
    else:
        documentation = documentation.replace("\\", r"\\").replace("\n", r"\n")
        if kind == "counter":
            name += "_total"
    return f"# HELP {name} {documentation}\n# TYPE {name} {kind}\n"
