from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import time
from collections.abc import AsyncIterator, Iterator

import prometheus_client
import requests
import structlog
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.db import connection, transaction
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import include, path, re_path
from django.views.decorators.csrf import csrf_exempt
from opentelemetry import metrics

import telemetry
from tests.telemetry.site.children import make_coffee

log = telemetry.get_logger("tests.site")


def hello(request: HttpRequest, name: str = "world", **_: object) -> HttpResponse:
    log.info("hello", name=name)
    return HttpResponse(f"hello {name}")


async def hello_async(request: HttpRequest, pk: int) -> HttpResponse:
    log.info("hello", pk=pk)
    await asyncio.sleep(0)
    return HttpResponse(f"hello {pk}")


def query(request: HttpRequest) -> HttpResponse:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM auth_user WHERE username = %s", ["secret-value"])
        return HttpResponse(str(cursor.fetchone()[0]))


def many_queries(request: HttpRequest) -> HttpResponse:
    with connection.cursor() as cursor:
        for number in range(int(request.GET["n"])):
            cursor.execute(
                "SELECT %s FROM auth_group WHERE name = 'a rather long literal'", [number]
            )
    return HttpResponse("many")


def answers(request: HttpRequest) -> HttpResponse:
    """As many statements, and the status, that were asked for."""
    many_queries(request)
    return HttpResponse(status=int(request.GET["status"]))


def custom_span(request: HttpRequest) -> HttpResponse:
    with telemetry.get_tracer().start_as_current_span("custom") as span:
        span.set_attribute("custom.attribute", "value")
        answer = query(request)
    answer["X-Process"] = str(os.getpid())
    return answer


def many_spans(request: HttpRequest) -> HttpResponse:
    tracer = telemetry.get_tracer()
    for number in range(4):
        with tracer.start_as_current_span(f"span {number}"):
            if number >= 2:
                tracer.start_span("below one that was dropped").end()
    return HttpResponse("many")


async def query_async(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(await get_user_model().objects.acount()))


def repeated(request: HttpRequest) -> HttpResponse:
    for number in range(int(request.GET.get("times", 20))):
        get_user_model().objects.filter(pk=number).exists()
    return HttpResponse("many")


def fail(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("it broke")


async def fail_async(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("it broke")


def cancels_itself(request: HttpRequest) -> HttpResponse:
    raise asyncio.CancelledError


def refuse(request: HttpRequest) -> HttpResponse:
    raise PermissionDenied


def missing(request: HttpRequest) -> HttpResponse:
    raise Http404


def unavailable(request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=503)


def slow(request: HttpRequest) -> HttpResponse:
    log.info("slow")
    time.sleep(float(request.GET.get("seconds", "0.1")))
    return HttpResponse("slow")


def process(request: HttpRequest) -> HttpResponse:
    """Which process answers, after a while."""
    time.sleep(float(request.GET["seconds"]))
    return HttpResponse(str(os.getpid()))


async def slow_async(request: HttpRequest) -> HttpResponse:
    log.info("slow")
    await asyncio.sleep(float(request.GET.get("seconds", "0.1")))
    return HttpResponse("slow")


@csrf_exempt
def upload(request: HttpRequest) -> HttpResponse:
    log.info("uploading")
    return HttpResponse(f"{len(request.body)} bytes")


def stream(request: HttpRequest) -> StreamingHttpResponse:
    def pieces() -> Iterator[bytes]:
        for number in range(5):
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1 FROM auth_group")
            yield b"piece %d\n" % number

    return StreamingHttpResponse(pieces())


def stream_fails(request: HttpRequest) -> StreamingHttpResponse:
    def pieces() -> Iterator[bytes]:
        yield b"one"
        raise RuntimeError("it broke in the middle")

    return StreamingHttpResponse(pieces())


async def stream_async(request: HttpRequest) -> StreamingHttpResponse:
    async def pieces() -> AsyncIterator[bytes]:
        for number in range(5):
            await asyncio.sleep(0.01)
            yield b"piece %d\n" % number

    return StreamingHttpResponse(pieces())


def stream_closes(request: HttpRequest) -> StreamingHttpResponse:
    """A body that has something to do when it is closed."""

    def pieces() -> Iterator[bytes]:
        try:
            yield b"one"
            yield b"two"
        finally:
            query(request)
            log.info("closed")

    return StreamingHttpResponse(pieces())


def stream_slowly(request: HttpRequest) -> StreamingHttpResponse:
    """More than a socket's buffers hold: who writes it notices that nobody reads."""

    def pieces() -> Iterator[bytes]:
        for _ in range(300):
            yield b"x" * 100_000
            time.sleep(0.1)

    return StreamingHttpResponse(pieces())


async def stream_slowly_async(request: HttpRequest) -> StreamingHttpResponse:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(300):
            yield b"x" * 100_000
            await asyncio.sleep(0.1)

    return StreamingHttpResponse(pieces())


def call(request: HttpRequest) -> HttpResponse:
    answer = requests.get(request.GET["url"], timeout=5)
    return HttpResponse(answer.text, status=200)


def bound(request: HttpRequest) -> HttpResponse:
    telemetry.bind(expense_id=7)
    log.info("inside", password="hunter2")
    return HttpResponse("bound")


def bound_oddly(request: HttpRequest) -> HttpResponse:
    names = ["name", "event", "message", "args", "level", "msg", "status", "logger", "exc_info"]
    names += ["correlation_id", "trace_id", "span_id"]
    telemetry.bind(**dict.fromkeys(names, "odd"))
    logging.getLogger("tests.site").warning("inside %s", "there")
    return HttpResponse("bound")


def _bind(request: HttpRequest) -> None:
    if name := request.GET.get("name"):
        structlog.contextvars.bind_contextvars(bound=name)
    log.info("bound")


def binds(request: HttpRequest) -> HttpResponse:
    """By structlog's own context, which is the thread's."""
    _bind(request)
    return HttpResponse("bound")


async def binds_async(request: HttpRequest) -> HttpResponse:
    _bind(request)
    return HttpResponse("bound")


def binds_and_streams(request: HttpRequest) -> StreamingHttpResponse:
    def pieces() -> Iterator[bytes]:
        for _ in range(2):
            log.info("piece")
            yield b"piece"

    _bind(request)
    return StreamingHttpResponse(pieces())


async def binds_and_streams_async(request: HttpRequest) -> StreamingHttpResponse:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(2):
            log.info("piece")
            yield b"piece"

    _bind(request)
    return StreamingHttpResponse(pieces())


def says_much(request: HttpRequest) -> HttpResponse:
    """A long line of our own, and a request's line."""
    log.info("says much", text=["x" * 1000] * int(request.GET["kilobytes"]))
    return HttpResponse("said")


def bound_much(request: HttpRequest) -> HttpResponse:
    telemetry.bind(**{f"field_{number}": "x" * 1000 for number in range(100)})
    return HttpResponse("bound")


def user(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"user": request.user.get_username()})


#: As a library would make them, which knows nothing of telemetry.
COFFEES = prometheus_client.Counter("coffees", "Coffees made.", ["strength"])
prometheus_client.Gauge("beans", "Beans left.").set_function(lambda: 42)


def coffee(_request: HttpRequest) -> HttpResponse:
    COFFEES.labels("strong").inc()
    return HttpResponse("coffee")


def spawn(request: HttpRequest) -> HttpResponse:
    """Children of multiprocessing, each of which makes a coffee."""
    context = multiprocessing.get_context(request.GET["method"])
    children = [context.Process(target=make_coffee, args=("weak",)) for _ in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    return HttpResponse(str([child.exitcode for child in children]))


_meter = metrics.get_meter("tests.site")
TEAS = _meter.create_counter("teas")
_made: list[str] = []
# Nothing is observed before the first tea: the other tests' scrapes stay as they were.
_meter.create_observable_counter(
    "leaves", [lambda _options: [metrics.Observation(3 * len(_made))] if _made else []]
)


def tea(_request: HttpRequest) -> HttpResponse:
    """Which process counted."""
    TEAS.add(1, {"kind": "green"})
    _made.append("green")
    return HttpResponse(str(os.getpid()))


def access(_request: HttpRequest) -> HttpResponse:
    """One row for each request, committed before the answer."""
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO access DEFAULT VALUES")
    return HttpResponse("counted")


def server_cursor(_request: HttpRequest) -> HttpResponse:
    with transaction.atomic():
        names = [user.pk for user in get_user_model().objects.iterator(chunk_size=100)]
    return HttpResponse(str(len(names)))


nested = [path("items/<int:pk>/", hello, name="nested")]

urlpatterns = [
    path("admin/", admin.site.urls),
    path("hello/", hello),
    path("hello/<str:name>/", hello),
    path("async/<int:pk>/", hello_async),
    path("query/", query),
    path("query-async/", query_async),
    path("custom-span/", custom_span),
    path("many-spans/", many_spans),
    path("cancels-itself/", cancels_itself),
    path("many-queries/", many_queries),
    path("answers/", answers),
    path("repeated/", repeated),
    path("fail/", fail),
    path("fail-async/", fail_async),
    path("refuse/", refuse),
    path("missing/", missing),
    path("unavailable/", unavailable),
    path("slow/", slow),
    path("process/", process),
    path("slow-async/", slow_async),
    path("stream/", stream),
    path("upload/", upload),
    path("stream-fails/", stream_fails),
    path("stream-async/", stream_async),
    path("stream-closes/", stream_closes),
    path("stream-slowly/", stream_slowly),
    path("stream-slowly-async/", stream_slowly_async),
    path("call/", call),
    path("coffee/", coffee),
    path("spawn/", spawn),
    path("tea/", tea),
    path("server-cursor/", server_cursor),
    path("access/", access),
    path("bound/", bound),
    path("bound-oddly/", bound_oddly),
    path("structlog/", binds),
    path("structlog-async/", binds_async),
    path("structlog-stream/", binds_and_streams),
    path("structlog-stream-async/", binds_and_streams_async),
    path("says-much/", says_much),
    path("bound-much/", bound_much),
    path("user/", user),
    re_path(r"^old/(?P<slug>[-\w]+)/(\d+)/$", hello),
    path("group/<uuid:group>/", include(nested)),
]
