"""The dashboards, one file each."""

from __future__ import annotations

from monitoring.grafana.boards import (
    api_performance,
    database,
    endpoint_detail,
    errors,
    expenses,
    monitoring_itself,
    slo,
    system,
)

BOARDS = (
    api_performance.make,
    database.make,
    errors.make,
    system.make,
    slo.make,
    endpoint_detail.make,
    expenses.make,
    monitoring_itself.make,
)
