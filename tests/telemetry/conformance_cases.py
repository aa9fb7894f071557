"""Requests and statements with the spans that they leave, as data.

What they cover was read off the tests of OpenTelemetry's instrumentations of Django and psycopg
(routes and names, methods, errors, attributes, what a view does with its span, traces of callers,
asynchronous handlers; statements with comments, literals, parameters, composed ones, failures).
``test_conformance_cases.py`` runs each of them against our spans, which must be the expected
ones to the last attribute, and against their packages.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

#: What the span of every request has, unless a case says otherwise.
OF_REQUESTS: dict[str, Any] = {
    "http.request.method": "GET",
    "http.response.status_code": 200,
    "url.scheme": "http",
    "network.protocol.version": "1.1",
    "server.address": "testserver",
    "server.port": 80,
    "client.address": "127.0.0.1",
    "user_agent.original": "test",
}
#: The same of statements; those of the server are as the database's address says.
OF_STATEMENTS: dict[str, Any] = {"db.system.name": "postgresql"}
CALLER = f"00-{'a' * 32}-{'b' * 16}"
#: 2,000 parameters, of which the span shows the first.
LONG = "SELECT id FROM auth_group WHERE id IN (" + ", ".join(["%s"] * 2000) + ")"


@dataclass(frozen=True)
class Expected:
    """A span: its name, its attributes beside those that the case says, status and events.

    An attribute that is None is not there. ``parent`` is the name of the parent span, "remote" for
    a caller's.
    """

    name: str
    attributes: dict[str, Any] = field(default_factory=dict)
    status: str = "UNSET"
    events: tuple[str, ...] = ()
    parent: str | None = None


@dataclass(frozen=True)
class RequestCase:
    """A request and its server span, None where there is none.

    The span has the path, the method and the route of the case.
    """

    name: str
    path: str
    span: Expected | None
    route: str | None = None
    method: str = "GET"
    headers: dict[str, str | None] = field(default_factory=dict)
    secure: bool = False
    protocol: str = "HTTP/1.1"
    asgi: bool = False


@dataclass(frozen=True)
class StatementCase:
    """A statement and the spans that it leaves."""

    name: str
    #: A statement, or what the way to run it needs: see ``conformance.run_statement``.
    statement: str
    spans: tuple[Expected, ...]
    parameters: Any = None
    way: str = "execute"
    #: A statement that runs before it.
    before: str = ""


def sql(
    operation: str,
    table: str | None,
    text: str,
    error: str | None = None,
    summary: str | None = None,
) -> Expected:
    """The span of a statement, named by operation and table; ``error`` is its ``error.type``."""
    name = summary or (f"{operation} {table}" if table else operation)
    attributes = {
        "db.operation.name": operation,
        "db.collection.name": table,
        "db.query.summary": name,
        "db.query.text": text,
        "error.type": error,
    }
    return Expected(name, attributes, status="ERROR" if error else "UNSET")


REQUESTS: tuple[RequestCase, ...] = (
    RequestCase(
        "a route with a named group",
        "/route/2020/template/",
        Expected("GET /route/{year}/template/"),
        route="/route/{year}/template/",
    ),
    RequestCase(
        "a route with a group that has no name",
        "/plain/1234/",
        Expected("GET /plain/{value}/"),
        route="/plain/{value}/",
    ),
    RequestCase(
        "a route that ends anywhere", "/prefix-and-more", Expected("GET /prefix"), route="/prefix"
    ),
    RequestCase("GET", "/answer/", Expected("GET /answer/"), route="/answer/"),
    RequestCase("POST", "/answer/", Expected("POST /answer/"), route="/answer/", method="POST"),
    RequestCase("PUT", "/answer/", Expected("PUT /answer/"), route="/answer/", method="PUT"),
    RequestCase("PATCH", "/answer/", Expected("PATCH /answer/"), route="/answer/", method="PATCH"),
    RequestCase(
        "DELETE", "/answer/", Expected("DELETE /answer/"), route="/answer/", method="DELETE"
    ),
    RequestCase("HEAD", "/answer/", Expected("HEAD /answer/"), route="/answer/", method="HEAD"),
    RequestCase(
        "OPTIONS", "/answer/", Expected("OPTIONS /answer/"), route="/answer/", method="OPTIONS"
    ),
    RequestCase("TRACE", "/answer/", Expected("TRACE /answer/"), route="/answer/", method="TRACE"),
    RequestCase(
        "a method in small letters",
        "/answer/",
        Expected("GET /answer/", {"http.request.method": "GET"}),
        route="/answer/",
        method="get",
    ),
    RequestCase(
        "a method that HTTP does not know",
        "/answer/",
        Expected(
            "HTTP", {"http.request.method": "_OTHER", "http.request.method_original": "NONSTANDARD"}
        ),
        route="/answer/",
        method="NONSTANDARD",
    ),
    RequestCase(
        "WebDAV's method",
        "/answer/",
        Expected(
            "HTTP", {"http.request.method": "_OTHER", "http.request.method_original": "PROPFIND"}
        ),
        route="/answer/",
        method="PROPFIND",
    ),
    RequestCase(
        "an unknown method where no route is",
        "/nowhere/",
        Expected(
            "HTTP",
            {
                "http.request.method": "_OTHER",
                "http.response.status_code": 404,
                "http.request.method_original": "NONSTANDARD",
            },
        ),
        method="NONSTANDARD",
    ),
    RequestCase(
        "a method that the view does not take",
        "/get-only/",
        Expected("POST /get-only/", {"http.response.status_code": 405}),
        route="/get-only/",
        method="POST",
    ),
    RequestCase(
        "a method that a class-based view has not",
        "/thing/7/",
        Expected("DELETE /thing/{id}/", {"http.response.status_code": 405}),
        route="/thing/{id}/",
        method="DELETE",
    ),
    RequestCase("the empty path", "/", Expected("GET /"), route="/"),
    RequestCase("no route", "/nowhere/", Expected("GET", {"http.response.status_code": 404})),
    RequestCase(
        "no route, which looks like one",
        "/plain/12345/",
        Expected("GET", {"http.response.status_code": 404}),
    ),
    RequestCase(
        "a slash that is missing", "/answer", Expected("GET", {"http.response.status_code": 301})
    ),
    RequestCase(
        "a query",
        "/answer/?page=2&sort=name",
        Expected("GET /answer/", {"url.query": "page=2&sort=name"}),
        route="/answer/",
    ),
    RequestCase(
        "a query where no route is",
        "/nowhere/?page=2",
        Expected("GET", {"http.response.status_code": 404, "url.query": "page=2"}),
    ),
    RequestCase(
        "a secret in the query",
        "/answer/?token=abc123&page=2",
        Expected("GET /answer/", {"url.query": "token=***&page=2"}),
        route="/answer/",
    ),
    RequestCase("an empty query", "/answer/?", Expected("GET /answer/"), route="/answer/"),
    RequestCase("a converter", "/thing/7/", Expected("GET /thing/{id}/"), route="/thing/{id}/"),
    RequestCase(
        "a converter of paths", "/any/a/b/c.txt", Expected("GET /any/{rest}"), route="/any/{rest}"
    ),
    RequestCase(
        "a nested route",
        "/group/6f9619ff-8b86-d011-b42d-00c04fc964ff/red/",
        Expected("GET /group/{group}/{slug}/"),
        route="/group/{group}/{slug}/",
    ),
    RequestCase(
        "the root of a nested route",
        "/group/6f9619ff-8b86-d011-b42d-00c04fc964ff/",
        Expected("GET /group/{group}/"),
        route="/group/{group}/",
    ),
    RequestCase(
        "letters of another alphabet",
        "/any/J%C3%BCrgen",
        Expected("GET /any/{rest}", {"url.path": "/any/Jürgen"}),
        route="/any/{rest}",
    ),
    RequestCase(
        "an exception",
        "/fails/",
        Expected(
            "GET /fails/",
            {"http.response.status_code": 500, "error.type": "ValueError"},
            status="ERROR",
            events=("exception",),
        ),
        route="/fails/",
    ),
    RequestCase(
        "an exception because of another",
        "/fails-from-another/",
        Expected(
            "GET /fails-from-another/",
            {"http.response.status_code": 500, "error.type": "LookupError"},
            status="ERROR",
            events=("exception",),
        ),
        route="/fails-from-another/",
    ),
    RequestCase(
        "an answer of 500",
        "/answer/?status=500",
        Expected(
            "GET /answer/",
            {"http.response.status_code": 500, "url.query": "status=500", "error.type": "500"},
            status="ERROR",
        ),
        route="/answer/",
    ),
    RequestCase(
        "an answer of 503",
        "/answer/?status=503",
        Expected(
            "GET /answer/",
            {"http.response.status_code": 503, "url.query": "status=503", "error.type": "503"},
            status="ERROR",
        ),
        route="/answer/",
    ),
    RequestCase(
        "an answer of 400",
        "/answer/?status=400",
        Expected("GET /answer/", {"http.response.status_code": 400, "url.query": "status=400"}),
        route="/answer/",
    ),
    RequestCase(
        "an answer of 429",
        "/answer/?status=429",
        Expected("GET /answer/", {"http.response.status_code": 429, "url.query": "status=429"}),
        route="/answer/",
    ),
    RequestCase(
        "an answer of 404 without an exception",
        "/answer/?status=404",
        Expected("GET /answer/", {"http.response.status_code": 404, "url.query": "status=404"}),
        route="/answer/",
    ),
    RequestCase(
        "an answer of 204",
        "/answer/?status=204",
        Expected("GET /answer/", {"http.response.status_code": 204, "url.query": "status=204"}),
        route="/answer/",
    ),
    RequestCase(
        "a redirect",
        "/moved/",
        Expected("GET /moved/", {"http.response.status_code": 302}),
        route="/moved/",
    ),
    RequestCase(
        "not modified",
        "/unmodified/",
        Expected("GET /unmodified/", {"http.response.status_code": 304}),
        route="/unmodified/",
    ),
    RequestCase(
        "a 404 that the view raised",
        "/not-found/",
        Expected("GET /not-found/", {"http.response.status_code": 404}),
        route="/not-found/",
    ),
    RequestCase(
        "a 403 that the view raised",
        "/denied/",
        Expected("GET /denied/", {"http.response.status_code": 403}),
        route="/denied/",
    ),
    RequestCase(
        "a suspicious request",
        "/suspicious/",
        Expected("GET /suspicious/", {"http.response.status_code": 400}),
        route="/suspicious/",
    ),
    RequestCase(
        "no user agent",
        "/answer/",
        Expected("GET /answer/", {"user_agent.original": None}),
        route="/answer/",
        headers={"User-Agent": None},
    ),
    RequestCase(
        "a long user agent",
        "/answer/",
        Expected("GET /answer/", {"user_agent.original": "x" * 300}),
        route="/answer/",
        headers={"User-Agent": "x" * 500},
    ),
    RequestCase(
        "another host",
        "/answer/",
        Expected("GET /answer/"),
        route="/answer/",
        headers={"Host": "shop.example:8443"},
    ),
    RequestCase(
        "a host that is none",
        "/answer/",
        Expected("GET", {"http.response.status_code": 400}),
        headers={"Host": "no host!"},
    ),
    RequestCase(
        "a proxy that nobody trusts",
        "/answer/",
        Expected("GET /answer/", {"client.address": "203.0.113.7"}),
        route="/answer/",
        headers={"X-Forwarded-For": "203.0.113.7"},
    ),
    RequestCase(
        "https",
        "/answer/",
        Expected("GET /answer/", {"url.scheme": "https", "server.port": 443}),
        route="/answer/",
        secure=True,
    ),
    RequestCase(
        "HTTP/1.0",
        "/answer/",
        Expected("GET /answer/", {"network.protocol.version": "1.0"}),
        route="/answer/",
        protocol="HTTP/1.0",
    ),
    RequestCase(
        "HTTP/2",
        "/answer/",
        Expected("GET /answer/", {"network.protocol.version": "2"}),
        route="/answer/",
        protocol="HTTP/2",
    ),
    RequestCase(
        "a caller's trace",
        "/answer/",
        Expected("GET /answer/", parent="remote"),
        route="/answer/",
        headers={"traceparent": f"{CALLER}-01"},
    ),
    RequestCase(
        "a caller's trace with a random id",
        "/answer/",
        Expected("GET /answer/", parent="remote"),
        route="/answer/",
        headers={"traceparent": f"{CALLER}-03"},
    ),
    RequestCase(
        "a caller's trace that is not sampled",
        "/answer/",
        None,
        headers={"traceparent": f"{CALLER}-00"},
    ),
    RequestCase(
        "a caller's trace that is broken",
        "/answer/",
        Expected("GET /answer/"),
        route="/answer/",
        headers={"traceparent": f"00-{'0' * 32}-{'b' * 16}-01"},
    ),
    RequestCase("a stream", "/streams/", Expected("GET /streams/"), route="/streams/"),
    RequestCase(
        "a stream that breaks",
        "/breaks/",
        Expected(
            "GET /breaks/",
            {"http.response.status_code": 500, "error.type": "ValueError"},
            status="ERROR",
            events=("exception",),
        ),
        route="/breaks/",
    ),
    RequestCase("a view that names its span", "/renames/", Expected("checkout"), route="/renames/"),
    RequestCase(
        "a view that sets attributes",
        "/describes/",
        Expected("GET /describes/", {"shop.order": 7, "user_agent.original": "hidden"}),
        route="/describes/",
    ),
    RequestCase(
        "a view that sets the status",
        "/approves/",
        Expected("GET /approves/", status="OK"),
        route="/approves/",
    ),
    RequestCase(
        "a view that records an exception and goes on",
        "/handles/",
        Expected("GET /handles/", events=("exception",)),
        route="/handles/",
    ),
    RequestCase(
        "a view that adds an event",
        "/notes/",
        Expected("GET /notes/", events=("noted",)),
        route="/notes/",
    ),
    RequestCase("a span inside the view", "/nests/", Expected("GET /nests/"), route="/nests/"),
    RequestCase(
        "asynchronous: GET",
        "/async/7/",
        Expected(
            "GET /async/{id}/",
            {
                "server.address": "127.0.0.1",
                "network.protocol.version": None,
                "user_agent.original": None,
            },
        ),
        route="/async/{id}/",
        asgi=True,
    ),
    RequestCase(
        "asynchronous: POST",
        "/async/7/",
        Expected(
            "POST /async/{id}/",
            {
                "server.address": "127.0.0.1",
                "network.protocol.version": None,
                "user_agent.original": None,
            },
        ),
        route="/async/{id}/",
        asgi=True,
        method="POST",
    ),
    RequestCase(
        "asynchronous: an exception",
        "/async/fails/",
        Expected(
            "GET /async/fails/",
            {
                "http.response.status_code": 500,
                "server.address": "127.0.0.1",
                "error.type": "ValueError",
                "network.protocol.version": None,
                "user_agent.original": None,
            },
            status="ERROR",
            events=("exception",),
        ),
        route="/async/fails/",
        asgi=True,
    ),
    RequestCase(
        "asynchronous: no route",
        "/nowhere/",
        Expected(
            "GET",
            {
                "http.response.status_code": 404,
                "server.address": "127.0.0.1",
                "network.protocol.version": None,
                "user_agent.original": None,
            },
        ),
        asgi=True,
    ),
    RequestCase(
        "asynchronous: a query",
        "/async/7/?page=2",
        Expected(
            "GET /async/{id}/",
            {
                "server.address": "127.0.0.1",
                "url.query": "page=2",
                "network.protocol.version": None,
                "user_agent.original": None,
            },
        ),
        route="/async/{id}/",
        asgi=True,
    ),
    RequestCase(
        "asynchronous: an unknown method",
        "/async/7/",
        Expected(
            "HTTP",
            {
                "http.request.method": "_OTHER",
                "server.address": "127.0.0.1",
                "http.request.method_original": "NONSTANDARD",
                "network.protocol.version": None,
                "user_agent.original": None,
            },
        ),
        route="/async/{id}/",
        asgi=True,
        method="NONSTANDARD",
    ),
    RequestCase(
        "asynchronous: a synchronous view",
        "/answer/",
        Expected(
            "GET /answer/",
            {
                "server.address": "127.0.0.1",
                "network.protocol.version": None,
                "user_agent.original": None,
            },
        ),
        route="/answer/",
        asgi=True,
    ),
    RequestCase(
        "asynchronous: an answer of 503",
        "/async/7/?status=503",
        Expected(
            "GET /async/{id}/",
            {
                "http.response.status_code": 503,
                "server.address": "127.0.0.1",
                "url.query": "status=503",
                "error.type": "503",
                "network.protocol.version": None,
                "user_agent.original": None,
            },
            status="ERROR",
        ),
        route="/async/{id}/",
        asgi=True,
    ),
)

STATEMENTS: tuple[StatementCase, ...] = (
    StatementCase(
        "SELECT",
        "SELECT count(*) FROM auth_group",
        (sql("SELECT", "auth_group", "SELECT count(*) FROM auth_group"),),
    ),
    StatementCase(
        "small letters",
        "select count(*) from auth_group",
        (sql("SELECT", "auth_group", "select count(*) from auth_group"),),
    ),
    StatementCase(
        "white space in front",
        "\n\t  SELECT count(*) FROM auth_group",
        (sql("SELECT", "auth_group", "SELECT count(*) FROM auth_group"),),
    ),
    StatementCase(
        "parameters",
        "SELECT id FROM auth_group WHERE name = %s AND id > %s",
        (sql("SELECT", "auth_group", "SELECT id FROM auth_group WHERE name = %s AND id > %s"),),
        parameters=["secret-name", 7],
    ),
    StatementCase(
        "named parameters",
        "SELECT id FROM auth_group WHERE name = %(name)s",
        (sql("SELECT", "auth_group", "SELECT id FROM auth_group WHERE name = %(name)s"),),
        parameters={"name": "secret-name"},
    ),
    StatementCase(
        "literals",
        "SELECT id FROM auth_group WHERE name = 'secret-name' AND id > 7",
        (sql("SELECT", "auth_group", "SELECT id FROM auth_group WHERE name = ? AND id > ?"),),
    ),
    StatementCase(
        "a literal with a quote in it",
        "SELECT id FROM auth_group WHERE name = 'it''s secret'",
        (sql("SELECT", "auth_group", "SELECT id FROM auth_group WHERE name = ?"),),
    ),
    StatementCase(
        "a literal in dollars",
        "SELECT id FROM auth_group WHERE name = $x$secret$x$",
        (sql("SELECT", "auth_group", "SELECT id FROM auth_group WHERE name = ?"),),
    ),
    StatementCase(
        "a literal with escapes",
        "SELECT id FROM auth_group WHERE name = E'it\\'s secret'",
        (sql("SELECT", "auth_group", "SELECT id FROM auth_group WHERE name = ?"),),
    ),
    StatementCase(
        "a percent sign",
        "SELECT id FROM auth_group WHERE name LIKE 'a%%' AND id = %s",
        (sql("SELECT", "auth_group", "SELECT id FROM auth_group WHERE name LIKE ? AND id = %s"),),
        parameters=[7],
    ),
    StatementCase(
        "a comment in front",
        "/* leading comment */ SELECT id FROM auth_group",
        (sql("SELECT", "auth_group", "SELECT id FROM auth_group"),),
    ),
    StatementCase(
        "two comments in front",
        "/* one */ /* two */ SELECT id FROM auth_group",
        (sql("SELECT", "auth_group", "SELECT id FROM auth_group"),),
    ),
    StatementCase(
        "a comment of one line in front",
        "-- a comment\nSELECT id FROM auth_group",
        (sql("SELECT", "auth_group", "SELECT id FROM auth_group"),),
    ),
    StatementCase(
        "a comment behind",
        "SELECT id FROM auth_group /* trailing comment */",
        (sql("SELECT", "auth_group", "SELECT id FROM auth_group"),),
    ),
    StatementCase("no table", "SELECT 1", (sql("SELECT", None, "SELECT ?"),)),
    StatementCase("a function", "SELECT now()", (sql("SELECT", None, "SELECT now()"),)),
    StatementCase(
        "a quoted table",
        'SELECT id FROM "auth_group"',
        (sql("SELECT", "auth_group", 'SELECT id FROM "auth_group"'),),
    ),
    StatementCase(
        "a table with its schema",
        "SELECT id FROM public.auth_group",
        (sql("SELECT", "public.auth_group", "SELECT id FROM public.auth_group"),),
    ),
    StatementCase(
        "a join",
        "SELECT g.id FROM auth_group g JOIN auth_group_permissions p ON p.group_id = g.id",
        (
            sql(
                "SELECT",
                "auth_group",
                "SELECT g.id FROM auth_group g JOIN auth_group_permissions p ON p.group_id = g.id",
            ),
        ),
    ),
    StatementCase(
        "a subquery",
        "SELECT n FROM (SELECT count(*) AS n FROM auth_group) AS counted",
        (
            sql(
                "SELECT",
                "auth_group",
                "SELECT n FROM (SELECT count(*) AS n FROM auth_group) AS counted",
            ),
        ),
    ),
    StatementCase(
        "a union",
        "SELECT id FROM auth_group UNION SELECT id FROM auth_permission",
        (
            sql(
                "SELECT",
                "auth_group",
                "SELECT id FROM auth_group UNION SELECT id FROM auth_permission",
            ),
        ),
    ),
    StatementCase(
        "WITH",
        "WITH g AS (SELECT id FROM auth_group) SELECT count(*) FROM g",
        (
            sql(
                "SELECT",
                "auth_group",
                "WITH g AS (SELECT id FROM auth_group) SELECT count(*) FROM g",
            ),
        ),
    ),
    StatementCase("VALUES", "VALUES (1), (2)", (sql("VALUES", None, "VALUES (?), …"),)),
    StatementCase(
        "INSERT",
        "INSERT INTO auth_group (name) VALUES (%s)",
        (sql("INSERT", "auth_group", "INSERT INTO auth_group (name) VALUES (%s)"),),
        parameters=["a"],
    ),
    StatementCase(
        "INSERT with RETURNING",
        "INSERT INTO auth_group (name) VALUES (%s) RETURNING id",
        (sql("INSERT", "auth_group", "INSERT INTO auth_group (name) VALUES (%s) RETURNING id"),),
        parameters=["b"],
    ),
    StatementCase(
        "INSERT of many",
        "INSERT INTO auth_group (name) VALUES (%s)",
        (sql("INSERT", "auth_group", "INSERT INTO auth_group (name) VALUES (%s)"),),
        parameters=[["c"], ["d"]],
        way="executemany",
    ),
    StatementCase(
        "UPDATE",
        "UPDATE auth_group SET name = %s WHERE id = %s",
        (sql("UPDATE", "auth_group", "UPDATE auth_group SET name = %s WHERE id = %s"),),
        parameters=["e", 0],
    ),
    StatementCase(
        "DELETE",
        "DELETE FROM auth_group WHERE id = %s",
        (sql("DELETE", "auth_group", "DELETE FROM auth_group WHERE id = %s"),),
        parameters=[0],
    ),
    StatementCase(
        "CREATE TABLE",
        "CREATE TEMPORARY TABLE shelf (id integer)",
        (sql("CREATE", "shelf", "CREATE TEMPORARY TABLE shelf (id integer)"),),
    ),
    StatementCase(
        "ALTER TABLE",
        "ALTER TABLE shelf ADD COLUMN name text",
        (sql("ALTER", "shelf", "ALTER TABLE shelf ADD COLUMN name text"),),
        before="CREATE TEMPORARY TABLE shelf (id integer)",
    ),
    StatementCase(
        "CREATE INDEX",
        "CREATE INDEX shelf_id ON shelf (id)",
        (sql("CREATE", None, "CREATE INDEX shelf_id ON shelf (id)"),),
        before="CREATE TEMPORARY TABLE shelf (id integer)",
    ),
    StatementCase(
        "TRUNCATE",
        "TRUNCATE shelf",
        (sql("TRUNCATE", "shelf", "TRUNCATE shelf"),),
        before="CREATE TEMPORARY TABLE shelf (id integer)",
    ),
    StatementCase(
        "DROP TABLE",
        "DROP TABLE shelf",
        (sql("DROP", "shelf", "DROP TABLE shelf"),),
        before="CREATE TEMPORARY TABLE shelf (id integer)",
    ),
    StatementCase(
        "EXPLAIN",
        "EXPLAIN SELECT id FROM auth_group",
        (sql("EXPLAIN", "auth_group", "EXPLAIN SELECT id FROM auth_group"),),
    ),
    StatementCase(
        "SET",
        "SET LOCAL statement_timeout = 5000",
        (sql("SET", None, "SET LOCAL statement_timeout = ?"),),
    ),
    StatementCase("SHOW", "SHOW statement_timeout", (sql("SHOW", None, "SHOW statement_timeout"),)),
    StatementCase("SAVEPOINT", "SAVEPOINT here", (sql("SAVEPOINT", None, "SAVEPOINT ?"),)),
    StatementCase(
        "LOCK",
        "LOCK TABLE auth_group IN ACCESS SHARE MODE",
        (sql("LOCK", "auth_group", "LOCK TABLE auth_group IN ACCESS SHARE MODE"),),
    ),
    StatementCase(
        "two statements",
        "SELECT 1; SELECT id FROM auth_group",
        (sql("SELECT", "auth_group", "SELECT ?; SELECT id FROM auth_group"),),
    ),
    StatementCase("an empty statement", "", (sql("OTHER", None, ""),)),
    StatementCase(
        "psycopg's SQL",
        "sql:SELECT id FROM auth_group",
        (sql("SELECT", "auth_group", "SELECT id FROM auth_group"),),
    ),
    StatementCase(
        "psycopg's composed SQL",
        "composed:auth_group",
        (sql("SELECT", "auth_group", 'SELECT id FROM "auth_group"'),),
    ),
    StatementCase(
        "a long statement",
        LONG,
        (sql("SELECT", "auth_group", "SELECT id FROM auth_group WHERE id IN (%s, …)"),),
        parameters=range(2000),
    ),
    StatementCase(
        "no such table",
        "SELECT * FROM no_such_table",
        (sql("SELECT", "no_such_table", "SELECT * FROM no_such_table", error="UndefinedTable"),),
    ),
    StatementCase(
        "a syntax error",
        "tab\tseparated nonsense",
        (sql("OTHER", None, "tab separated nonsense", error="SyntaxError"),),
    ),
    StatementCase(
        "division by zero",
        "SELECT 1 / 0",
        (sql("SELECT", None, "SELECT ? / ?", error="DivisionByZero"),),
    ),
    StatementCase(
        "a value twice",
        "INSERT INTO auth_group (name) VALUES ('twice'), ('twice')",
        (
            sql(
                "INSERT",
                "auth_group",
                "INSERT INTO auth_group (name) VALUES (?), …",
                error="UniqueViolation",
            ),
        ),
    ),
    StatementCase(
        "a procedure that is not there",
        "no_such_function",
        (sql("CALL", None, "CALL no_such_function", error="UndefinedFunction"),),
        way="callproc",
    ),
    StatementCase(
        "a function called by its name",
        "pg_backend_pid",
        (sql("CALL", None, "CALL pg_backend_pid"),),
        way="callproc",
    ),
    StatementCase(
        "a server-side cursor",
        "",
        (
            sql(
                "SELECT",
                "auth_group",
                'SELECT "auth_group"."id", "auth_group"."name" FROM "auth_group"',
            ),
            sql("FETCH", "auth_group", "FETCH FORWARD ?"),
        ),
        way="iterator",
    ),
    StatementCase(
        "Django counts",
        "count",
        (sql("SELECT", "auth_group", 'SELECT COUNT(*) AS "__count" FROM "auth_group"'),),
        way="orm",
    ),
    StatementCase(
        "Django creates",
        "create",
        (
            sql(
                "INSERT",
                "auth_group",
                'INSERT INTO "auth_group" ("name") VALUES (%s) RETURNING "auth_group"."id"',
            ),
        ),
        way="orm",
    ),
    StatementCase(
        "Django updates",
        "update",
        (
            sql(
                "UPDATE",
                "auth_group",
                'UPDATE "auth_group" SET "name" = %s WHERE "auth_group"."name" = %s',
            ),
        ),
        way="orm",
    ),
    StatementCase(
        "Django deletes",
        "delete",
        (
            sql(
                "SELECT",
                "auth_group",
                'SELECT "auth_group"."id", "auth_group"."name" FROM "auth_group" '
                'WHERE "auth_group"."name" = %s',
            ),
        ),
        way="orm",
    ),
)
