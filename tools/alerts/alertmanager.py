"""What the commands ask of Alertmanager and Prometheus, wherever they run."""

from __future__ import annotations

import os
import re
from typing import Any

import requests

from tools.local import runs
from tools.local.layout import from_environment

#: Seconds that a server may take to answer.
_TIMEOUT = 10.0


class NotAnsweredError(RuntimeError):
    """A server is away, or answers something else than its API; one line that says which."""


def alertmanager_url() -> str:
    """``ALERTMANAGER_URL``, or the Alertmanager of ``make up``."""
    return _url("ALERTMANAGER_URL", "ALERTMANAGER_PORT")


def prometheus_url() -> str:
    """``PROMETHEUS_URL``, or the Prometheus of ``make up``."""
    return _url("PROMETHEUS_URL", "PROMETHEUS_SERVER_PORT")


def _url(variable: str, port: str) -> str:
    chosen = os.environ.get(variable, "").strip().rstrip("/")
    return chosen or runs.with_ports_of_run(from_environment()).url(port)


def call(
    method: str,
    url: str,
    *,
    params: list[tuple[str, str]] | None = None,
    body: dict[str, Any] | None = None,
) -> Any:
    """The JSON that an API answers, None for an empty answer.

    Raises NotAnsweredError for a server that is away, an error status, and what is no JSON.
    """
    shown = re.sub(r"//[^/@]*@", "//", url)  # the address may hold a password
    try:
        answer = requests.request(method, url, params=params, json=body, timeout=_TIMEOUT)
    except requests.RequestException as error:
        reason = "no answer in time" if isinstance(error, requests.Timeout) else "not reachable"
        raise NotAnsweredError(f"{shown}: {reason} (make up starts the local stack)") from error
    if not answer.ok:
        text = " ".join(answer.text.split())[:300]
        raise NotAnsweredError(f"{shown}: HTTP {answer.status_code} {text}")
    if not answer.content:
        return None
    try:
        return answer.json()
    except ValueError as error:
        raise NotAnsweredError(f"{shown}: the answer is not JSON") from error
