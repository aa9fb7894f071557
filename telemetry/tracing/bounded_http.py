"""An HTTP connection whose every step ends at one deadline.

A time-out of a socket is one for each read: a receiver that sends a byte now and then is never
late. Here what is left until the deadline is the time-out of each step: looking for an address
that answers, TLS, writing, and reading.
"""

from __future__ import annotations

import base64
import http.client
import io
import socket
import ssl
import time
from typing import Any, cast
from urllib.parse import SplitResult, unquote


class Connection(http.client.HTTPConnection):
    """Set ``deadline`` (``time.monotonic``) before each request. Raises TimeoutError after it.

    ``proxy`` is the address of an HTTP proxy, with its login if it wants one. It leads through to a
    receiver with TLS; a request to another one has to name its whole address.
    """

    def __init__(
        self, host: str, port: int, context: ssl.SSLContext | None, proxy: SplitResult | None
    ) -> None:
        if context is not None:
            # Else the header Host would have the port.
            self.default_port = http.client.HTTPS_PORT
        super().__init__(host, port)
        self._context = context
        self._proxy = proxy
        self.deadline = time.monotonic()

    def left(self) -> float:
        """Seconds until the deadline."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        return left

    def connect(self) -> None:
        host, port = self.host, self.port
        if self._proxy is not None:
            host, port = self._proxy.hostname or "", self._proxy.port or 80
        problem: OSError | None = None
        for family, kind, protocol, _, address in socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        ):
            made = socket.socket(family, kind, protocol)
            try:
                made.settimeout(self.left())
                made.connect(address)
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._context is not None:
                    if self._proxy is not None:
                        self._ask_proxy(made)
                    made.settimeout(self.left())
                    made = self._context.wrap_socket(made, server_hostname=self.host)
            except OSError as error:
                made.close()
                problem = error
            else:
                # What HTTPConnection does with a socket is what this one has.
                self.sock = cast(socket.socket, _Socket(made, self))
                return
        raise problem or OSError(f"no address of {host}")

    def _ask_proxy(self, made: socket.socket) -> None:
        """Have the proxy lead to the receiver (RFC 9110, section 9.3.6)."""
        target = f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
        head = f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n"
        if (login := login_of(self._proxy)) is not None:
            head += f"Proxy-Authorization: {login}\r\n"
        through = _Socket(made, self)
        through.sendall(f"{head}\r\n".encode())
        with http.client.HTTPResponse(cast(socket.socket, through), method="CONNECT") as response:
            try:
                response.begin()
            except http.client.HTTPException as error:
                raise OSError(f"the proxy answered no HTTP ({type(error).__name__})") from None
            if response.status != 200:
                raise OSError(f"the proxy answered {response.status}")


def login_of(address: SplitResult | None) -> str | None:
    """The value of ``Authorization`` (RFC 7617) for the login that an address carries."""
    if address is None or address.username is None:
        return None
    login = f"{unquote(address.username)}:{unquote(address.password or '')}"
    return "Basic " + base64.b64encode(login.encode()).decode()


class _Socket:
    """The three things that ``http.client`` does with a socket, each within the deadline."""

    def __init__(self, made: socket.socket, connection: Connection) -> None:
        self._socket = made
        self._connection = connection
        self.close = made.close

    def sendall(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            self._socket.settimeout(self._connection.left())
            rest = rest[self._socket.send(rest[:65_536]) :]

    def makefile(self, *_mode: Any) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self._socket, self._connection))


class _Reader(io.RawIOBase):
    """Reads from the socket, which stays open until this is closed."""

    def __init__(self, made: socket.socket, connection: Connection) -> None:
        self._socket = made
        self._connection = connection
        self._file = made.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._socket.settimeout(self._connection.left())
        return self._file.readinto(buffer)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()
