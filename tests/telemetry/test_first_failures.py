"""Series that alerts and dashboards read exist at 0 before the first failure that they count.

Prometheus sees no increase in a series whose first sample is already the failure.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator

import pytest
from django.http import FileResponse, HttpResponse
from django.test import Client, RequestFactory, override_settings
from django.utils import translation

from telemetry.metrics import exposition
from telemetry.middleware import TelemetryMiddleware
from telemetry.outcomes import ROUTES_AT_ZERO
from telemetry.routes import templates
from testing.servers import Server, gunicorn, poll, runserver, uvicorn
from tests.conftest import Sample, samples

SITE = "tests.telemetry.site.settings"
OUTCOMES = {"success", "client_error", "server_error"}
SERVERS = {
    "gunicorn-preloaded": gunicorn("gthread"),
    "gunicorn-not-preloaded": gunicorn("sync", settings="tests/telemetry/site/gunicorn.conf.py"),
    "uvicorn": uvicorn(workers=2),
    "runserver": runserver(),
}
#: Closed label sets beside the routes: metric, label, some of its values.
CLOSED = {
    "http_error_responses_total": ("status", {"401", "403", "429", "499", "4xx", "503", "5xx"}),
    "http_client_responses_total": ("outcome", {*OUTCOMES, "timeout", "error"}),
    "database_query_failures_total": ("database", {"default"}),
    "database_connection_failures_total": ("database", {"default"}),
}


def serve(command: Callable[[int], list[str]], database: str, settings: str = SITE) -> Server:
    environment = {"DATABASE_URL": database, "DJANGO_SETTINGS_MODULE": settings}
    return Server(command, environment)


def values(scraped: str, metric: str) -> dict[frozenset[tuple[str, str]], float]:
    return {labels: value for (name, labels), value in samples(scraped).items() if name == metric}


def labelled(**labels: str) -> frozenset[tuple[str, str]]:
    return frozenset(labels.items())


@pytest.fixture(params=SERVERS)
def fresh(request: pytest.FixtureRequest, servers_database: str) -> Iterator[Server]:
    """A server that answered nothing so far but its health check."""
    started = serve(SERVERS[request.param], servers_database)
    yield started
    started.stop()


@pytest.mark.servers
def test_each_known_route_is_there_at_0_before_the_first_request(fresh: Server) -> None:
    scraped = fresh.scrape()

    found = values(scraped, "http_responses_total")
    assert set(found.values()) == {0.0}
    endpoints = {dict(labels)["endpoint"] for labels in found}
    assert {"/fail/", "/hello/{name}/", "/old/{slug}/{value}/"} < endpoints
    assert {"/group/{group}/items/{id}/", "/admin/login/", "unmatched", "static"} < endpoints
    assert len(found) == len(endpoints) * len(OUTCOMES)
    for metric, (label, wanted) in CLOSED.items():
        closed = values(scraped, metric)
        assert wanted <= {dict(labels)[label] for labels in closed}, metric
        assert set(closed.values()) == {0.0}, metric
    # Where the start asked for unapplied migrations there was a connection.
    assert labelled(database="default") in values(scraped, "database_connections_total")
    assert values(scraped, "background_errors_total") == {frozenset(): 0.0}
    repeated = values(scraped, "http_repeated_queries_total")
    assert {dict(labels)["endpoint"] for labels in repeated} == endpoints


@pytest.mark.servers
def test_the_first_failure_is_an_increase(fresh: Server) -> None:
    def failures(scraped: str) -> dict[str, float]:
        routes = values(scraped, "http_responses_total")
        statuses = values(scraped, "http_error_responses_total")
        return {
            "route": routes[labelled(endpoint="/fail/", outcome="server_error")],
            "500": statuses[labelled(status="500")],
            "503": statuses[labelled(status="503")],
            "unmatched": routes[labelled(endpoint="unmatched", outcome="client_error")],
        }

    before = failures(fresh.scrape())

    for path in ("/fail/", "/fail/", "/unavailable/", "/nowhere/"):
        fresh.get(path)

    assert before == dict.fromkeys(before, 0.0)
    wanted = {"route": 2.0, "500": 2.0, "503": 1.0, "unmatched": 1.0}
    poll(lambda: failures(fresh.scrape()) == wanted, 5, "the failures were not counted")


@pytest.mark.servers
def test_a_urlconf_that_cannot_be_imported_stops_no_start(servers_database: str) -> None:
    server = serve(gunicorn("gthread"), servers_database, "tests.telemetry.site.broken_routes")
    try:
        answer = server.get("/hello/")

        counted = poll(
            lambda: values(server.scrape(), "http_responses_total").get(
                labelled(endpoint="unmatched", outcome="server_error")
            ),
            5,
            "the failure was not counted",
        )

        def warnings() -> list[object]:
            return [line for line in server.log_lines() if "URLconf" in line["message"]]

        poll(lambda: len(warnings()) == 2, 10, "not every worker said it once")
        said = str(warnings())
    finally:
        server.stop()
    assert answer.status_code == 500
    assert counted == 1
    assert "hunter2" not in said


@pytest.mark.servers
def test_a_project_of_many_routes_has_a_bounded_number_of_series(servers_database: str) -> None:
    server = serve(gunicorn("gthread"), servers_database, "tests.telemetry.site.many_routes")
    try:
        scraped = server.scrape()
        for number in (7, 1100):
            server.get(f"/resources/{number}/x/")
        later = server.scrape()
    finally:
        server.stop()

    routes = values(scraped, "http_responses_total")
    # Unmatched requests and static files are two more.
    assert len(routes) == len(OUTCOMES) * (ROUTES_AT_ZERO + 2)
    assert len(values(scraped, "http_repeated_queries_total")) == ROUTES_AT_ZERO + 2
    assert len(samples(scraped)) < 4 * (ROUTES_AT_ZERO + 2) + 300
    # A route past the bound begins with its first request, all its outcomes at once.
    past = "/resources/1100/{name}/"
    assert labelled(endpoint=past, outcome="server_error") not in routes
    counted = values(later, "http_responses_total")
    assert counted[labelled(endpoint=past, outcome="server_error")] == 0
    assert set(values(later, "telemetry_series_dropped_total").values()) == {0.0}


@override_settings(
    ROOT_URLCONF="tests.telemetry.site.translated_urls",
    LANGUAGES=[("en", "English"), ("de", "German")],
)
def test_translated_routes_are_known_in_each_language() -> None:
    with translation.override("en"):
        found = list(templates())

    assert found == [
        "/en/page/",
        "/en/more/items/{id}/",
        "/en/more/odd/{name}/",
        "/plain/{name}/items/{id}/",
        "/plain/{name}/odd/{name}/",
        "static",
        "/de/page/",
        "/de/more/items/{id}/",
        "/de/more/odd/{name}/",
    ]


@pytest.mark.parametrize("path", ["/hello/", "/old/a-b/7/", "/group/{id}/items/7/", "/refuse/"])
@pytest.mark.urls("tests.telemetry.site.urls")
def test_a_route_is_counted_under_the_name_that_it_starts_with(client: Client, path: str) -> None:
    path = path.replace("{id}", "6f8b6ee5-0000-4000-8000-000000000000")
    known = set(templates())

    def counted() -> float:
        scraped = samples(exposition.scrape().body.decode())
        return sum(
            value
            for (name, labels), value in scraped.items()
            if name == "http_responses_total" and dict(labels)["endpoint"] in known
        )

    before = counted()

    client.get(path)

    assert counted() == before + 1


@pytest.mark.parametrize(
    ("status", "outcome", "error"),
    [
        (200, "success", None),
        (302, "success", None),
        (304, "success", None),
        (404, "client_error", "404"),
        (418, "client_error", "4xx"),
        (429, "client_error", "429"),
        (500, "server_error", "500"),
        (507, "server_error", "5xx"),
        (599, "server_error", "5xx"),
    ],
)
def test_an_answer_has_one_outcome(
    sample: Sample, status: int, outcome: str, error: str | None
) -> None:
    labels = {"endpoint": "unmatched", "outcome": outcome}
    before = sample("http_responses_total", **labels)
    errors = sample("http_error_responses_total", status=error) if error else 0

    TelemetryMiddleware(lambda _request: HttpResponse(status=status))(
        RequestFactory().get("/somewhere/")
    )

    assert sample("http_responses_total", **labels) == before + 1
    if error:
        assert sample("http_error_responses_total", status=error) == errors + 1


@pytest.mark.parametrize(
    ("path", "status", "endpoint"),
    [
        ("/static/admin/css/base.css", 200, "static"),
        ("/static/no/such/file.css", 404, "static"),
        ("/staticky/", 404, "unmatched"),
        ("/nowhere/static/", 404, "unmatched"),
    ],
)
@pytest.mark.urls("tests.telemetry.site.urls")
def test_a_static_file_has_an_endpoint_of_its_own(
    client: Client, sample: Sample, path: str, status: int, endpoint: str
) -> None:
    def counted() -> float:
        return sum(
            sample("http_responses_total", endpoint=endpoint, outcome=outcome)
            for outcome in OUTCOMES
        )

    before, missing = counted(), sample("http_error_responses_total", status="404")

    response = client.get(path)

    assert response.status_code == status
    list(getattr(response, "streaming_content", []))
    response.close()
    assert counted() == before + 1
    not_found = 1 if (status, endpoint) == (404, "unmatched") else 0
    assert sample("http_error_responses_total", status="404") == missing + not_found


def test_a_file_that_a_middleware_serves_from_the_root_is_static(sample: Sample) -> None:
    labels = {"endpoint": "static", "outcome": "success"}
    before = sample("http_responses_total", **labels)

    response = TelemetryMiddleware(lambda _request: FileResponse(io.BytesIO(b"User-agent: *")))(
        RequestFactory().get("/robots.txt")
    )
    assert isinstance(response, FileResponse)
    assert b"".join(response) == b"User-agent: *"
    response.close()

    assert sample("http_responses_total", **labels) == before + 1


@override_settings(STATIC_URL="https://cdn.example.org/assets/")
@pytest.mark.urls("tests.telemetry.site.urls")
def test_static_files_are_found_where_the_cdn_fetches_them(client: Client, sample: Sample) -> None:
    labels = {"endpoint": "static", "outcome": "client_error"}
    before = sample("http_responses_total", **labels)

    client.get("/assets/x.css")

    assert sample("http_responses_total", **labels) == before + 1


@override_settings(STATIC_URL="/", MEDIA_URL="/media/")
@pytest.mark.urls("tests.telemetry.site.urls")
def test_a_static_url_that_is_every_path_makes_nothing_static(
    client: Client, sample: Sample
) -> None:
    labels = {"endpoint": "/hello/", "outcome": "success"}
    before = sample("http_responses_total", **labels)

    client.get("/hello/")

    assert sample("http_responses_total", **labels) == before + 1
