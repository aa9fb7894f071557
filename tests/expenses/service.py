"""The whole service as a server process, over a database with the demo's people."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import requests

from testing.servers import ROOT, Server, make_database

LOGIN = "/api/v1/auth/login/"
EXPENSES = "/api/v1/expenses/"
PERSON = {"username": "demo1", "password": "demo-password"}
ADMIN = {"username": "admin", "password": "admin-password"}


def environment(database_url: str) -> dict[str, str]:
    return {
        "DATABASE_URL": database_url,
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "DEMO": "1",
        "DEMO_PASSWORD": PERSON["password"],
        "DEMO_ADMIN_PASSWORD": ADMIN["password"],
    }


def manage(*command: str, database_url: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a management command. Raises CalledProcessError."""
    return subprocess.run(
        [sys.executable, "manage.py", *command],
        cwd=ROOT,
        env={**os.environ, **environment(database_url), **more},
        check=True,
        capture_output=True,
        text=True,
    )


def seed(database_url: str) -> None:
    manage("migrate", "--verbosity", "0", database_url=database_url)
    manage("seed_demo", "--expenses", "20", "--users", "1", database_url=database_url)


def seeded_database(name: str) -> str:
    """A new database beside the session's, with demo1, admin and 20 expenses; its address."""
    url = make_database(name, "config.settings")
    seed(url)
    return url


def start(
    command: Callable[[int], list[str]], database_url: str, name: str = "", **more: str
) -> Server:
    return Server(command, {**environment(database_url), **more}, name=name)


def token(server: Server) -> dict[str, str]:
    """The header of a new login."""
    answer = requests.post(server.url(LOGIN), json=PERSON, timeout=20)
    answer.raise_for_status()
    return {"Authorization": f"Token {answer.json()['token']}"}


class RawAnswer:
    """What a server sends back on one connection: status, headers in lower case, body."""

    def __init__(self, received: bytes) -> None:
        head, _, self.body = received.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        self.status = int(status.split()[1]) if status else 0
        self.headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines)
        }

    def json(self) -> Any:
        return json.loads(self.body)


def exchange(server: Server, sent: bytes, seconds: float = 20, *, end: bool = False) -> RawAnswer:
    """Send bytes as they are and read until the server closes or keeps silent for ``seconds``.

    ``end`` closes the sending half of the connection after them.
    """
    with socket.create_connection(("127.0.0.1", server.port), timeout=seconds) as connection:
        connection.sendall(sent)
        if end:
            connection.shutdown(socket.SHUT_WR)
        received = b""
        try:
            while part := connection.recv(65536):
                received += part
        except TimeoutError:
            pass
    return RawAnswer(received)
