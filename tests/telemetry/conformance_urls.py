"""What the cases of ``conformance_cases`` ask for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseNotModified,
    HttpResponseRedirect,
    StreamingHttpResponse,
)
from django.urls import include, path, re_path
from django.views import View
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET
from opentelemetry import trace
from opentelemetry.trace import StatusCode


def answer(request: HttpRequest, **_: object) -> HttpResponse:
    return HttpResponse("answer", status=int(request.GET.get("status", "200")))


def fails(_request: HttpRequest) -> HttpResponse:
    raise ValueError("it failed")


def fails_from_another(_request: HttpRequest) -> HttpResponse:
    try:
        return HttpResponse(str({}["absent"]))
    except KeyError as error:
        raise LookupError("nothing there") from error


def not_found(_request: HttpRequest) -> HttpResponse:
    raise Http404("no such thing")


def denied(_request: HttpRequest) -> HttpResponse:
    raise PermissionDenied("not yours")


def suspicious(_request: HttpRequest) -> HttpResponse:
    raise SuspiciousOperation("odd")


def moved(_request: HttpRequest) -> HttpResponse:
    return HttpResponseRedirect("/answer/")


def unmodified(_request: HttpRequest) -> HttpResponse:
    return HttpResponseNotModified()


def streams(_request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(iter([b"one", b"two"]))


def breaks(_request: HttpRequest) -> StreamingHttpResponse:
    def pieces() -> Iterator[bytes]:
        yield b"one"
        raise ValueError("in the middle")

    return StreamingHttpResponse(pieces())


def renames(_request: HttpRequest) -> HttpResponse:
    trace.get_current_span().update_name("checkout")
    return HttpResponse()


def describes(_request: HttpRequest) -> HttpResponse:
    trace.get_current_span().set_attributes({"shop.order": 7, "user_agent.original": "hidden"})
    return HttpResponse()


def approves(_request: HttpRequest) -> HttpResponse:
    trace.get_current_span().set_status(StatusCode.OK)
    return HttpResponse()


def handles(_request: HttpRequest) -> HttpResponse:
    try:
        int("none")
    except ValueError as error:
        trace.get_current_span().record_exception(error)
    return HttpResponse()


def notes(_request: HttpRequest) -> HttpResponse:
    trace.get_current_span().add_event("noted", {"shop.order": 7})
    return HttpResponse()


def nests(_request: HttpRequest) -> HttpResponse:
    with trace.get_tracer("shop").start_as_current_span("inner"):
        return HttpResponse()


class Thing(View):
    def get(self, _request: HttpRequest, **_: Any) -> HttpResponse:
        return HttpResponse("thing")


async def answer_async(request: HttpRequest, **_: object) -> HttpResponse:
    return HttpResponse("answer", status=int(request.GET.get("status", "200")))


async def fails_async(_request: HttpRequest) -> HttpResponse:
    raise ValueError("it failed")


nested = [path("<slug:slug>/", answer), path("", answer)]

urlpatterns = [
    path("", answer),
    path("answer/", csrf_exempt(answer)),
    path("thing/<int:pk>/", Thing.as_view()),
    path("any/<path:rest>", answer),
    path("group/<uuid:group>/", include(nested)),
    re_path(r"^route/(?P<year>[0-9]{4})/template/$", answer),
    re_path(r"^plain/([0-9]{4})/$", lambda request, _year: answer(request)),
    re_path(r"^prefix", answer),
    path("get-only/", csrf_exempt(require_GET(answer))),
    path("fails/", fails),
    path("fails-from-another/", fails_from_another),
    path("not-found/", not_found),
    path("denied/", denied),
    path("suspicious/", suspicious),
    path("moved/", moved),
    path("unmodified/", unmodified),
    path("streams/", streams),
    path("breaks/", breaks),
    path("renames/", renames),
    path("describes/", describes),
    path("approves/", approves),
    path("handles/", handles),
    path("notes/", notes),
    path("nests/", nests),
    path("async/<int:pk>/", answer_async),
    path("async/fails/", fails_async),
]
