"""Is a port free, and who has it if not."""

from __future__ import annotations

import socket
from pathlib import Path


def is_free(port: int, *, udp: bool = False) -> bool:
    """Whether this user can listen on a loopback port now."""
    kind = socket.SOCK_DGRAM if udp else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as probe:
        if not udp:
            # As the servers do: a connection that just ended does not hold the port.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def holder(port: int) -> str:
    """``gunicorn (process 123)`` for who listens on a TCP port, as far as this user may know."""
    inode = _listening_inode(port)
    if inode:
        for process in Path("/proc").iterdir():
            if process.name.isdigit() and _has_socket(process, inode):
                command = (process / "comm").read_text().strip()
                return f"{command} (process {process.name})"
    return "another program"


def _listening_inode(port: int) -> str:
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            listening = fields[3] == "0A"
            if listening and int(fields[1].rpartition(":")[2], 16) == port:
                return fields[9]
    return ""


def _has_socket(process: Path, inode: str) -> bool:
    try:
        return any(
            descriptor.readlink().name == f"socket:[{inode}]"
            for descriptor in (process / "fd").iterdir()
        )
    except OSError:
        return False
