"""Headers of every answer, and pages in a real browser that reports what the policy forbids."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from django.contrib.auth.models import User
from django.test import Client, override_settings
from rest_framework.test import APIClient

from testing.servers import ROOT, Server, gunicorn, uvicorn
from tests.expenses.service import ADMIN, seeded_database, start

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)

SERVERS = {"gunicorn": gunicorn(workers=1), "uvicorn": uvicorn(workers=1)}


@pytest.fixture(scope="module")
def database() -> str:
    return seeded_database("content_security")


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest, database: str) -> Iterator[Server]:
    started = start(SERVERS[request.param], database, name=request.param)
    yield started
    started.stop()


PATHS = [
    "/",
    "/admin/",
    "/admin/login/",
    "/api/docs/",
    "/api/schema/",
    "/api/v1/expenses/",
    "/api/v1/nothing/",
    "/api/v1/demo/faults/error/",
    "/nothing/",
    "/static/admin/css/base.css",
    "/static/nothing.css",
    "/metrics",
    "/health/live",
    "/health/ready",
]


@pytest.mark.servers
@pytest.mark.parametrize("path", PATHS)
def test_every_answer_is_nosniff_and_every_page_has_a_policy(server: Server, path: str) -> None:
    for method in ("GET", "POST", "HEAD"):
        answer = requests.request(method, server.url(path), timeout=20, allow_redirects=False)
        assert answer.headers["X-Content-Type-Options"] == "nosniff", method
        if not path.startswith(("/metrics", "/health")):
            policy = answer.headers["Content-Security-Policy"]
            assert policy.startswith("default-src 'none'"), method
            assert "frame-ancestors 'none'" in policy
            assert answer.headers["X-Frame-Options"] == "DENY"


@pytest.mark.servers
def test_an_answer_to_a_host_that_is_not_served_has_both(server: Server) -> None:
    for path in ("/admin/", "/api/v1/expenses/"):
        answer = server.get(path, headers={"Host": "evil.example"})
        assert answer.status_code == 400
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert answer.headers["X-Frame-Options"] == "DENY"


@pytest.mark.servers
def test_a_body_that_is_refused_unread_is_answered_with_all(server: Server) -> None:
    answer = requests.post(server.url("/admin/login/"), data=b"x" * 1_100_000, timeout=20)

    assert answer.status_code == 413
    for name in ("X-Content-Type-Options", "X-Frame-Options", "Content-Security-Policy"):
        assert name in answer.headers


def login_of_admin(server: Server) -> str:
    """The session of the demo's admin."""
    session = requests.Session()
    page = session.get(server.url("/admin/login/"), timeout=20).text
    csrf = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    assert csrf is not None
    session.post(
        server.url("/admin/login/"),
        data={"csrfmiddlewaretoken": csrf[1], **ADMIN},
        timeout=20,
    )
    return session.cookies["sessionid"]


class Gateway(ThreadingHTTPServer):
    """Stands between the browser and the service: adds the session, and collects the reports."""

    daemon_threads = True

    def __init__(self, service: Server) -> None:
        super().__init__(("127.0.0.1", 0), _Through)
        self.service = service
        self.session = ""
        self.inject = b""
        self.reports: list[str] = []

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"


class _Through(BaseHTTPRequestHandler):
    server: Gateway
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        cookies = {"sessionid": self.server.session} if self.server.session else None
        answer = self.server.service.get(self.path, cookies=cookies, allow_redirects=False)
        body = answer.content
        if self.server.inject and answer.headers["Content-Type"].startswith("text/html"):
            body = body.replace(b"</body>", self.server.inject + b"</body>")
        self.send_response(answer.status_code)
        for name in ("Content-Type", "X-Content-Type-Options", "Location"):
            if name in answer.headers:
                self.send_header(name, answer.headers[name])
        policy = answer.headers["Content-Security-Policy"]
        self.send_header("Content-Security-Policy", f"{policy}; report-uri /report")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.reports.append(body.decode())
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
        return


@pytest.fixture(scope="module")
def gateway(database: str) -> Iterator[Gateway]:
    service = start(gunicorn(workers=1), database)
    made = Gateway(service)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()
    service.stop()


def browse(gateway: Gateway, path: str, profile: Path) -> str:
    """The page as the browser has it after its scripts ran."""
    gateway.reports.clear()
    done = subprocess.run(
        [
            *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
            *(f"--user-data-dir={profile}", "--virtual-time-budget=15000", "--dump-dom"),
            gateway.url(path),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    return done.stdout


in_a_browser = pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed")


@in_a_browser
@pytest.mark.servers
@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/admin/login/", 'id="login-form"'),
        ("/admin/", "module"),
        ("/admin/expenses/expense/", 'id="result_list"'),
        # What Django's scripts add: the calendar, and the field that searches.
        ("/admin/expenses/expense/1/change/", "datetimeshortcuts"),
        ("/admin/expenses/expense/add/", "select2-selection"),
        ("/admin/auth/user/add/", 'id="user_form"'),
        ("/api/docs/", "opblock-summary"),
        ("/api/v1/", ""),
    ],
)
def test_a_page_works_within_its_policy(
    gateway: Gateway, tmp_path: Path, path: str, shown: str
) -> None:
    if path != "/admin/login/":
        gateway.session = gateway.session or login_of_admin(gateway.service)

    page = browse(gateway, path, tmp_path)

    assert gateway.reports == []
    assert shown in page


@in_a_browser
@pytest.mark.servers
def test_the_browser_would_report_a_script_in_the_page(gateway: Gateway, tmp_path: Path) -> None:
    gateway.inject = b"<script>document.title = 'injected'</script>"

    page = browse(gateway, "/admin/login/", tmp_path)
    gateway.inject = b""

    assert "<title>injected" not in page
    assert "script-src" in "".join(gateway.reports)


PRODUCTION = {
    "DJANGO_SECRET_KEY": "".join(chr(33 + number) for number in range(60) if number not in (1, 6)),
    "DATABASE_URL": "postgresql://nobody@127.0.0.1/none",
    "DJANGO_ALLOWED_HOSTS": "expenses.example",
    "DJANGO_HTTPS": "",
    "DJANGO_HSTS_SUBDOMAINS": "1",
    "DJANGO_HSTS_PRELOAD": "1",
    "DEMO": "",
}


@pytest.mark.parametrize(
    ("changes", "warning"),
    [
        ({}, ""),
        ({"DJANGO_HSTS_SUBDOMAINS": "0"}, "security.W005"),
        ({"DJANGO_HSTS_PRELOAD": "0"}, "security.W021"),
        ({"DJANGO_HTTPS": "0"}, "security.W008"),
        ({"DJANGO_SECRET_KEY": "k" * 40}, "security.W009"),
    ],
)
def test_the_check_for_production_is_clean_or_says_why(
    changes: dict[str, str], warning: str
) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=ROOT,
        env={**os.environ, **PRODUCTION, **changes},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode == 0) is (warning == "")
    assert warning in done.stderr


@override_settings(
    SECURE_SSL_REDIRECT=True,
    SECURE_HSTS_SECONDS=31_536_000,
    SECURE_HSTS_INCLUDE_SUBDOMAINS=True,
    SECURE_HSTS_PRELOAD=True,
    SESSION_COOKIE_SECURE=True,
    CSRF_COOKIE_SECURE=True,
)
def test_https_alone(anonymous: APIClient, user: User) -> None:
    client = Client()

    plain = client.get("/admin/login/")
    page = client.get("/admin/login/", secure=True)
    client.force_login(user)

    assert (plain.status_code, plain["Location"]) == (301, "https://testserver/admin/login/")
    assert page["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains; preload"
    assert client.cookies["sessionid"]["secure"]
    assert client.cookies["csrftoken"]["secure"]
    assert client.get("/health/live").status_code == 200  # checks and scrapes come by http
