"""The paths that telemetry answers itself, before Host checks, redirects, sessions and the like."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from telemetry import health, settings
from telemetry.metrics import exposition

View = Callable[[HttpRequest], HttpResponse]


def view_of(request: HttpRequest) -> View | None:
    """Who answers this path here, None for every path of the project."""
    try:
        name = settings.get().own_paths.get(request.path_info)
    except Exception:  # noqa: BLE001  a path that is no text: Django's resolver reports it
        return None
    return None if name is None else _VIEWS[name]


def answer(view: View, request: HttpRequest) -> HttpResponse:
    if request.method not in {"GET", "HEAD"}:
        refused = {"Allow": "GET, HEAD", "X-Content-Type-Options": "nosniff"}
        return HttpResponse(status=405, headers=refused)
    response = view(request)
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Content-Length"] = str(len(response.content))
    if request.method == "HEAD":
        # Servers drop the body that they may not send; gunicorn 27 warns of it.
        response.content = b""
    return response


def metrics(request: HttpRequest) -> HttpResponse:
    """The scrape (``METRICS_TOKEN`` permitting)."""
    meta = request.META
    if not exposition.allowed(meta.get("HTTP_AUTHORIZATION", "")):
        return HttpResponse(status=401, headers={"WWW-Authenticate": "Bearer"})
    found = exposition.scrape(meta.get("HTTP_ACCEPT", ""), meta.get("HTTP_ACCEPT_ENCODING", ""))
    return HttpResponse(found.body, headers=found.headers)


def live(_request: HttpRequest) -> HttpResponse:
    return _health(health.live())


def ready(_request: HttpRequest) -> HttpResponse:
    return _health(health.ready())


def _health(found: health.Health) -> HttpResponse:
    return HttpResponse(found.body, status=found.status, headers=found.headers)


_VIEWS: dict[str, View] = {"metrics": metrics, "live": live, "ready": ready}
