"""The proxy that breaks the network in drills, between real sockets."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from testing.postgres import free_port
from testing.proxy import Proxy
from testing.servers import poll


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that sends back what it gets."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                while data := client.recv(100):
                    client.sendall(data)

    threading.Thread(target=serve, daemon=True).start()
    port: int = listener.getsockname()[1]
    yield port
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def said(port: int, words: bytes = b"hello") -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.sendall(words)
        return client.recv(100)


def test_it_passes_what_it_gets(echo: int) -> None:
    proxy = Proxy(free_port(), echo)

    assert said(proxy.port) == b"hello"
    proxy.refuse()


def test_it_refuses_and_takes_again(echo: int) -> None:
    proxy = Proxy(free_port(), echo)

    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        said(proxy.port)

    proxy.accept()
    assert said(proxy.port) == b"hello"
    proxy.refuse()


def test_refusing_cuts_what_is_open(echo: int) -> None:
    proxy = Proxy(free_port(), echo)
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as client:
        client.sendall(b"a")
        assert client.recv(1) == b"a"

        proxy.refuse()

        assert client.recv(1) == b""


def test_a_delay_holds_the_answer_back(echo: int) -> None:
    proxy = Proxy(free_port(), echo)
    proxy.delay = 0.2

    began = time.monotonic()
    assert said(proxy.port) == b"hello"

    assert time.monotonic() - began >= 0.2
    proxy.refuse()


def test_a_delay_does_not_hold_back_the_end_of_a_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = Proxy(free_port(), listener.getsockname()[1])
        proxy.delay = 5
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=3) as client:
            server, _ = listener.accept()

            server.close()

            assert client.recv(1) == b""
        proxy.refuse()


def test_a_target_that_is_away_ends_the_connection() -> None:
    proxy = Proxy(free_port(), free_port())

    with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as client:
        poll(lambda: client.recv(1) == b"", 5, "the connection was not ended")
    proxy.refuse()
