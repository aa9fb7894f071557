"""Trouble on demand, so that alerts, traces and dashboards have something to show.

Only with ``DEMO=1``; else there is nothing at these addresses. No login, not in the schema.
"""

from __future__ import annotations

import secrets
import time

from django.conf import settings
from django.db import connection
from django.http import Http404
from drf_spectacular.utils import extend_schema
from psycopg_pool import PoolTimeout
from rest_framework.exceptions import ValidationError
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from expenses.api.filters import refuse_unknown_parameters
from expenses.models import Expense
from telemetry import counter

MOST_SECONDS = 10.0
MOST_QUERIES = 200
MOST_MEGABYTES = 800
MOST_SERIES = 2000

DEMO_VISITS = counter(
    "demo_visits_total", "Made by the demo's fault of too many series.", ["visitor"]
)

#: What this worker leaked.
_memory: list[bytearray] = []
_connections: list[object] = []


class DemoFaultError(RuntimeError):
    """Raised on purpose."""


class Fault(APIView):
    authentication_classes = ()
    permission_classes = (AllowAny,)
    parameters: frozenset[str] = frozenset()

    def initial(self, request: Request, *args: object, **kwargs: object) -> None:
        if not settings.DEMO:
            raise Http404
        super().initial(request, *args, **kwargs)
        refuse_unknown_parameters(request, self.parameters)


@extend_schema(exclude=True)
class ErrorFault(Fault):
    def get(self, request: Request) -> Response:  # noqa: ARG002
        raise DemoFaultError("this error was asked for")


@extend_schema(exclude=True)
class SlowFault(Fault):
    parameters = frozenset({"seconds"})

    def get(self, request: Request) -> Response:
        seconds = _number(request, "seconds", 1.0, MOST_SECONDS)
        time.sleep(seconds)
        return Response({"seconds": seconds})


@extend_schema(exclude=True)
class QueriesFault(Fault):
    """The same query again and again, as a loop over rows without select_related would."""

    parameters = frozenset({"n"})

    def get(self, request: Request) -> Response:
        times = _whole(request, "n", 20, MOST_QUERIES)
        for number in range(times):
            Expense.objects.filter(pk=-number).exists()
        return Response({"n": times})


@extend_schema(exclude=True)
class MemoryFault(Fault):
    """A leak: this worker keeps what it was asked for until it is replaced."""

    parameters = frozenset({"mb"})

    def get(self, request: Request) -> Response:
        megabytes = _whole(request, "mb", 50, MOST_MEGABYTES)
        held = sum(len(each) for each in _memory) // 10**6
        if held + megabytes > MOST_MEGABYTES:
            raise ValidationError({"mb": [f"A worker leaks at most {MOST_MEGABYTES} MB."]})
        # Written to, so that the pages are really there.
        _memory.append(bytearray(b"x" * (megabytes * 10**6)))
        return Response({"held_mb": held + megabytes})


@extend_schema(exclude=True)
class ConnectionFault(Fault):
    """A leak: connections of this worker's pool that are never given back."""

    def get(self, request: Request) -> Response:  # noqa: ARG002
        pool = getattr(connection, "pool", None)
        if pool is None:
            raise ValidationError({"detail": ["The database is used without a pool."]})
        try:
            _connections.append(pool.getconn(timeout=0.1))
        except PoolTimeout:
            return Response({"held": len(_connections), "left": 0})
        return Response({"held": len(_connections)})


@extend_schema(exclude=True)
class SeriesFault(Fault):
    """A bad release: a counter with a label that takes ever new values."""

    parameters = frozenset({"n"})

    def get(self, request: Request) -> Response:
        times = _whole(request, "n", 100, MOST_SERIES)
        for _ in range(times):
            DEMO_VISITS.labels(visitor=secrets.token_hex(8)).inc()
        return Response({"n": times})


def _whole(request: Request, name: str, default: int, most: int) -> int:
    value = _number(request, name, default, most)
    if value != int(value):
        raise ValidationError({name: ["A whole number is required."]})
    return int(value)


def _number(request: Request, name: str, default: float, most: float) -> float:
    try:
        value = float(request.query_params.get(name, default))
    except ValueError:
        value = -1.0
    if not 0 <= value <= most:
        raise ValidationError({name: [f"A number from 0 to {most:g} is required."]})
    return value
