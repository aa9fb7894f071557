"""The shipped configuration with its doors locked: TLS, passwords, the scrape's token.

What Prometheus and Grafana of docker-compose.production.yml run with is the shipped file, changed
here; there is no second copy.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from monitoring.alerts.table import JOB

#: The user that the tools are for each other; people are ``PERSON``.
TOOL, PERSON = "stack", "ops"
#: Tools that have TLS and passwords of their own.
_LOCKED = {"prometheus", "alertmanager"}

Configuration = dict[str, Any]


def client(folder: str) -> Configuration:
    """How to open a locked door, as Prometheus, promtool and amtool read it."""
    return {
        "basic_auth": {"username": TOOL, "password_file": str(Path(folder, "stack_password"))},
        "tls_config": {"ca_file": str(Path(folder, "ca.crt"))},
    }


def server(hashes: dict[str, str]) -> Configuration:
    """The ``web.config.file`` of Prometheus and Alertmanager, beside ``server.crt``."""
    return {
        "tls_server_config": {
            "cert_file": "server.crt",
            "key_file": "server.key",
            "min_version": "TLS12",
        },
        "basic_auth_users": hashes,
    }


def lock_prometheus(configuration: Configuration, folder: str) -> None:
    """Let ``prometheus.yml`` scrape and alert through locked doors, in place.

    ``folder`` holds the secrets; relative to where the file will be, or absolute.
    """
    for job in configuration["scrape_configs"]:
        if job["job_name"] in _LOCKED:
            job |= {"scheme": "https", **client(folder)}
        elif job["job_name"] == JOB:
            job["authorization"] = {"credentials_file": str(Path(folder, "metrics_token"))}
    for alertmanager in configuration["alerting"]["alertmanagers"]:
        alertmanager |= {"scheme": "https", **client(folder)}


def lock_data_sources(configuration: Configuration, password: str, authority: str) -> None:
    """Let Grafana's data sources through locked doors, in place.

    ``authority`` is the certificate itself. Grafana reads no files from here.
    """
    for source in configuration["datasources"]:
        if source["type"] in _LOCKED:
            source["url"] = source["url"].replace("http://", "https://", 1)
            source |= {"basicAuth": True, "basicAuthUser": TOOL}
            source.setdefault("jsonData", {})["tlsAuthWithCACert"] = True
            source["secureJsonData"] = {"basicAuthPassword": password, "tlsCACert": authority}
