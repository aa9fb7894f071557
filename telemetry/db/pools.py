"""Gauges of psycopg's connection pools, refreshed by a thread: a scrape asks no database."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from telemetry.metrics import definitions as metrics

#: Aliases whose backend cannot be loaded.
_without_driver: set[str] = set()


def refresh() -> None:
    """Publish what the pools of this process know of themselves; nothing is sent."""
    for alias in connections:
        if alias in _without_driver:
            continue
        try:
            connection = connections[alias]
        except (ImportError, ImproperlyConfigured):
            # A database that other services with these settings use; whoever uses it here is told.
            _without_driver.add(alias)
            continue
        pools: dict[str, Any] = getattr(connection, "_connection_pools", {})
        pool = pools.get(alias)
        if pool is None:
            continue
        stats = pool.get_stats()
        size, idle = stats.get("pool_size", 0), stats.get("pool_available", 0)
        metrics.DATABASE_POOL_CONNECTIONS.child(alias, "idle").set(idle)
        metrics.DATABASE_POOL_CONNECTIONS.child(alias, "used").set(max(size - idle, 0))
        metrics.DATABASE_POOL_MAX_CONNECTIONS.child(alias).set(stats.get("pool_max", 0))
        metrics.DATABASE_POOL_REQUESTS_WAITING.child(alias).set(stats.get("requests_waiting", 0))
