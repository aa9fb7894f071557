"""What the demo's second service answers."""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse
from django.urls import path

import telemetry

#: Units of a currency for one euro. Made up: the demo is about the call, not the number.
RATES = {"EUR": "1", "USD": "1.10", "CHF": "0.95", "GBP": "0.85"}

logger = telemetry.get_logger(__name__)


def rate(request: HttpRequest, currency: str) -> JsonResponse:
    if request.method != "GET":
        return JsonResponse({"detail": "GET is the only method."}, status=405)
    if currency not in RATES:
        return JsonResponse({"detail": "No rate of this currency."}, status=404)
    logger.info("rate was looked up", currency=currency)
    return JsonResponse({"currency": currency, "rate": RATES[currency]})


urlpatterns = [path("rates/<str:currency>/", rate)]
