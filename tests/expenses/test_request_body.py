"""Bodies of unknown length, too large and broken ones, under each server."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
import requests

from testing.servers import Server, gunicorn, runserver, uvicorn
from tests.expenses.factories import body
from tests.expenses.service import ADMIN, EXPENSES, LOGIN, exchange, seeded_database, start, token

LIMIT = 1024 * 1024
SERVERS = {
    "gunicorn-gthread": gunicorn("gthread"),
    "gunicorn-sync": gunicorn("sync"),
    "uvicorn": uvicorn(workers=2),
    "runserver": runserver(),
}


@pytest.fixture(scope="module")
def database() -> str:
    return seeded_database("request_body")


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest, database: str) -> Iterator[Server]:
    started = start(SERVERS[request.param], database, name=request.param)
    yield started
    started.stop()


@pytest.fixture(scope="module")
def login(server: Server) -> dict[str, str]:
    return token(server)


def chunked(server: Server, method: str, path: str, sent: bytes, **headers: str) -> Any:
    """Send ``sent`` in chunks of 1,000 bytes, without a Content-Length."""
    parts = (sent[at : at + 1000] for at in range(0, len(sent), 1000))
    return requests.request(
        method,
        server.url(path),
        data=parts,
        headers={"Content-Type": "application/json", **headers},
        timeout=20,
    )


def head(method: str, path: str, login: dict[str, str], *more: str) -> bytes:
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: localhost",
        f"Authorization: {login['Authorization']}",
        "Content-Type: application/json",
        *more,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


@pytest.mark.servers
def test_a_chunked_body_is_read_or_refused(server: Server, login: dict[str, str]) -> None:
    made = requests.post(server.url(EXPENSES), json=body(), headers=login, timeout=20)
    path = f"{EXPENSES}{made.json()['id']}/"

    answer = chunked(server, "PATCH", path, b'{"title": "Changed"}', **login)

    title = server.get(path, headers=login).json()["title"]
    if server.name == "runserver":  # it does not decode chunks
        assert (answer.status_code, title) == (411, made.json()["title"])
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["code"] == "length_required"
    else:
        assert (answer.status_code, title) == (200, "Changed")


@pytest.mark.servers
def test_nothing_of_a_refused_chunked_body_becomes_a_request(
    server: Server, login: dict[str, str]
) -> None:
    smuggled = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
    sent = head("PATCH", f"{EXPENSES}1/", login, "Transfer-Encoding: chunked")
    sent += b"%x\r\n%s\r\n0\r\n\r\n" % (len(smuggled), smuggled)

    answer = exchange(server, sent, 3)

    assert answer.status in {400, 411}
    assert b"HTTP/1.1 200" not in answer.body


@pytest.mark.servers
@pytest.mark.parametrize("size", [LIMIT, LIMIT + 1, 3 * LIMIT])
def test_a_chunked_body_has_the_same_bound(
    server: Server, login: dict[str, str], size: int
) -> None:
    if server.name == "runserver":
        pytest.skip("runserver refuses every chunked body with 411")
    text = json.dumps(body()).encode()
    sent = text + b" " * (size - len(text))

    answer = chunked(server, "POST", EXPENSES, sent, **login)

    assert answer.status_code == (201 if size <= LIMIT else 413)
    if size > LIMIT:
        assert answer.json()["code"] == "body_too_large"


@pytest.mark.servers
@pytest.mark.parametrize("way", ["length", "chunked"])
def test_a_form_has_the_same_bound_without_a_login(server: Server, way: str) -> None:
    if server.name == "runserver" and way == "chunked":
        pytest.skip("runserver refuses every chunked body with 411")
    form = b"username=a&password=" + b"b" * LIMIT
    answer = requests.post(
        server.url("/admin/login/"),
        data=form if way == "length" else iter([form]),
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        timeout=20,
    )

    assert answer.status_code == 413
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"


@pytest.mark.servers
def test_a_chunked_form_is_read(server: Server) -> None:
    if server.name == "runserver":
        pytest.skip("runserver refuses every chunked body with 411")
    session = requests.Session()
    page = session.get(server.url("/admin/login/"), timeout=20)
    csrf = session.cookies["csrftoken"]
    form = f"csrfmiddlewaretoken={csrf}&username=admin&password=admin-password&next=/admin/"

    answer = session.post(
        server.url("/admin/login/"),
        data=iter([form.encode()]),
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        allow_redirects=False,
        timeout=20,
    )

    assert page.status_code == 200
    assert (answer.status_code, answer.headers["Location"]) == (302, "/admin/")


@pytest.mark.servers
@pytest.mark.parametrize(
    "broken",
    [
        b"zz\r\n{}\r\n0\r\n\r\n",
        b"2\r\n{}xx0\r\n\r\n",
        b"-2\r\n{}\r\n0\r\n\r\n",
        b"\r\n\r\n",
        b"ffffffffffffffffff\r\n{}\r\n0\r\n\r\n",
        b"0x2\r\n{}\r\n0\r\n\r\n",
    ],
    ids=["no-number", "no-line-end", "negative", "empty", "huge", "prefix"],
)
def test_broken_chunks_are_400(server: Server, login: dict[str, str], broken: bytes) -> None:
    if server.name == "runserver":
        pytest.skip("runserver refuses every chunked body with 411")
    path = f"{EXPENSES}1/"
    sent = head("PATCH", path, login, "Transfer-Encoding: chunked", "Connection: close")

    # A server reads on for what is missing of the huge chunk until the client is done.
    answer = exchange(server, sent + broken, end=True)

    # uvicorn closes without an answer when the client is done in the middle of a body.
    assert answer.status in ({400, 0} if server.name == "uvicorn" else {400})
    assert server.get("/health/live").status_code == 200


@pytest.mark.servers
def test_a_body_that_ends_before_its_length_is_refused(
    server: Server, login: dict[str, str]
) -> None:
    whole = json.dumps(body(title="Cut off")).encode()
    sent = head("POST", EXPENSES, login, f"Content-Length: {len(whole) + 10}", "Connection: close")

    answer = exchange(server, sent + whole, end=True)

    # uvicorn closes without an answer.
    assert answer.status in ({0} if server.name == "uvicorn" else {400})
    found = server.get(EXPENSES, headers=login).json()["results"]
    assert len(found) >= 20
    assert "Cut off" not in str(found)


@pytest.mark.servers
def test_a_form_that_ends_before_its_length_is_not_saved(server: Server) -> None:
    session = requests.Session()
    page = session.get(server.url("/admin/login/"), timeout=20)
    form = {"csrfmiddlewaretoken": session.cookies["csrftoken"], **ADMIN}
    assert session.post(server.url("/admin/login/?next=/admin/"), data=form, timeout=20).ok
    page = session.get(server.url("/admin/expenses/category/add/"), timeout=20)
    owner = re.search(r'<option value="(\d+)"', page.text)
    form = {
        "csrfmiddlewaretoken": session.cookies["csrftoken"],
        "owner": owner[1] if owner else "1",
        "_save": "Save",
        "name": f"Cut off {server.name} here",
    }
    encoded = urlencode(form).encode()
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in session.cookies)
    lines = [
        "POST /admin/expenses/category/add/ HTTP/1.1",
        f"Host: 127.0.0.1:{server.port}",
        "Connection: close",
        f"Cookie: {cookies}",
        "Content-Type: application/x-www-form-urlencoded",
        f"Content-Length: {len(encoded)}",
    ]
    sent = "\r\n".join(lines).encode() + b"\r\n\r\n"

    cut = exchange(server, sent + encoded[:-5], end=True)
    listed = session.get(server.url("/admin/expenses/category/"), timeout=20).text
    saved = exchange(server, sent + encoded)

    assert cut.status in ({0} if server.name == "uvicorn" else {400})
    assert f"Cut off {server.name}" not in listed
    assert saved.status == 302


@pytest.mark.servers
@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain; charset=rot13",
        "text/plain; charset=idna",
        "application/json; charset=utf-8",
        "application/json; charset=utf-16",
        "application/x-www-form-urlencoded; charset=idna",
        "text/plain; charset*=nothing''%ff",
        "application/json; title*=idna''%ff",
        'application/json; charset="',
    ],
)
def test_a_content_type_makes_no_error_of_the_server(server: Server, content_type: str) -> None:
    """Django raises for some of them before there is a request, and outside of telemetry."""
    headers = {"Content-Type": content_type}
    for path in ("/admin/login/", "/api/v1/expenses/", "/api/schema/", "/health/live"):
        for query in ("", "?a=%ff", "?" + "&".join(["a=1"] * 1001)):
            answer = server.get(path + query, headers=headers)
            assert answer.status_code < 500, (path, query[:10])
    for path in ("/admin/login/", LOGIN):
        answer = requests.post(server.url(path), data=b"{}", headers=headers, timeout=20)
        assert answer.status_code < 500, path


@pytest.mark.servers
@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "multipart/form-data"])
@pytest.mark.parametrize(
    ("charset", "status"),
    [
        ("utf-8", 403),
        ("UTF8", 403),
        ("us-ascii", 403),
        ("latin-1", 400),
        ("utf-16", 400),
        ("x", 400),
    ],
)
def test_a_form_is_in_utf_8(server: Server, kind: str, charset: str, status: int) -> None:
    # 403: read, and then refused for want of the CSRF token.
    answer = requests.post(
        server.url("/admin/login/"),
        data=b"--b\r\n\r\n--b--\r\n",
        headers={"Content-Type": f"{kind}; boundary=b; charset={charset}"},
        timeout=20,
    )

    assert answer.status_code == status
