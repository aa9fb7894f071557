"""A call to the demo's second service, so that a trace crosses two services.

Only with ``DEMO=1`` and ``DEMO_RATES_URL``; else there is nothing at this address.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import requests
from django.conf import settings
from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import APIException
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

#: Seconds to connect, and between two bytes of the answer.
PATIENCE = (1.0, 5.0)

_session = requests.Session()


class RatesFailed(APIException):
    status_code = HTTPStatus.BAD_GATEWAY
    default_detail = "The service of exchange rates gave no answer that could be used."
    default_code = "upstream_failed"


class RatesLate(APIException):
    status_code = HTTPStatus.GATEWAY_TIMEOUT
    default_detail = "The service of exchange rates did not answer in time."
    default_code = "upstream_timeout"


@extend_schema(exclude=True)
class DemoRateView(APIView):
    authentication_classes = ()
    permission_classes = (AllowAny,)

    def get(self, request: Request, currency: str) -> Response:  # noqa: ARG002
        if not (settings.DEMO and settings.DEMO_RATES_URL):
            raise Http404
        return Response(_rate(currency))


def _rate(currency: str) -> dict[str, Any]:
    try:
        answer = _session.get(f"{settings.DEMO_RATES_URL}/rates/{currency}/", timeout=PATIENCE)
        if answer.status_code == HTTPStatus.NOT_FOUND:
            raise Http404
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
    except requests.Timeout as error:
        raise RatesLate from error
    except requests.RequestException as error:
        raise RatesFailed from error
    return found
