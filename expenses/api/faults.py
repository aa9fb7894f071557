"""Trouble on demand, so that alerts, traces and dashboards have something to show.

Only with ``DEMO=1``; else there is nothing at these addresses. No login, not in the schema.
"""

from __future__ import annotations

import time

from django.conf import settings
from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from expenses.api.filters import refuse_unknown_parameters
from expenses.models import Expense

MOST_SECONDS = 10.0
MOST_QUERIES = 200


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
        times = _number(request, "n", 20, MOST_QUERIES)
        if times != int(times):
            raise ValidationError({"n": ["A whole number is required."]})
        for number in range(int(times)):
            Expense.objects.filter(pk=-number).exists()
        return Response({"n": int(times)})


def _number(request: Request, name: str, default: float, most: float) -> float:
    try:
        value = float(request.query_params.get(name, default))
    except ValueError:
        value = -1.0
    if not 0 <= value <= most:
        raise ValidationError({name: [f"A number from 0 to {most:g} is required."]})
    return value
