"""A TCP proxy before a server, that can refuse or be slow: a broken network from outside."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time

_CHUNK = 65_536


class Proxy:
    """Listens on ``port`` of loopback and passes everything to ``target``, as told."""

    def __init__(self, port: int, target: int) -> None:
        self.port = port
        self.target = target
        #: Seconds that the server's answer is held back.
        self.delay = 0.0
        self._listener: socket.socket | None = None
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._lock = threading.Lock()
        self.accept()

    def accept(self) -> None:
        """Take connections, from now on."""
        if self._listener is not None:
            return
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        threading.Thread(target=self._serve, args=(self._listener,), daemon=True).start()

    def refuse(self) -> None:
        """Cut what is open, and let nobody connect."""
        if self._listener is not None:
            with contextlib.suppress(OSError):
                # Wakes the thread that waits in accept().
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        self.cut()

    def cut(self) -> None:
        """End the connections that are open now."""
        with self._lock:
            pairs = list(self._pairs)
        for pair in pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._pass, args=(client,), daemon=True).start()

    def _pass(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(("127.0.0.1", self.target), timeout=5)
        except OSError:
            client.close()
            return
        server.settimeout(None)
        pair = (client, server)
        with self._lock:
            self._pairs.add(pair)
        try:
            self._copy(client, server)
        finally:
            with self._lock:
                self._pairs.discard(pair)
            for end in pair:
                end.close()

    def _copy(self, client: socket.socket, server: socket.socket) -> None:
        with selectors.DefaultSelector() as waiting:
            waiting.register(client, selectors.EVENT_READ, server)
            waiting.register(server, selectors.EVENT_READ, client)
            while True:
                for key, _ in waiting.select():
                    source = key.fileobj
                    assert isinstance(source, socket.socket)
                    if source is server and self.delay and not _is_over(server):
                        # Slept first: what the server sends meanwhile is late no second time.
                        time.sleep(self.delay)
                    try:
                        data = source.recv(_CHUNK)
                        key.data.sendall(data)
                    except OSError:
                        return
                    if not data:
                        return


def _is_over(end: socket.socket) -> bool:
    """Whether a readable socket was closed by its peer.

    A client that keeps connections must hear of it at once: on one that the server closed for being
    idle, its next request would fail instead of being slow.
    """
    try:
        return not end.recv(1, socket.MSG_PEEK)
    except OSError:
        return True
