"""One running part of the system: a process with a log, that ends with its supervisor."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

#: prctl(2): the signal that a child gets when its parent dies.
_PR_SET_PDEATHSIG = 1
#: In Jaeger's page of a binary that was built without the UI's files (v2.13.0).
_PLACEHOLDER = b"This is a placeholder for the Jaeger UI"
_LARGEST_LOG = 20 * 1024 * 1024


def end_with_parent(number: int = signal.SIGTERM) -> None:
    """Runs in the child between fork and exec: no orphan stays when the supervisor is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)


def end_database_with_parent() -> None:
    """For PostgreSQL SIGTERM means to wait for every session; SIGINT cuts them."""
    end_with_parent(signal.SIGINT)


@dataclass
class Part:
    """A program to run, where its log goes, and how to tell that it answers."""

    name: str
    command: list[str]
    log: Path
    #: Address that answers 200 when the part is ready.
    ready: str
    environment: dict[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        rotate(self.log)
        with self.log.open("ab") as output:
            self.run(output)

    def run(self, output: IO[bytes]) -> None:
        """Start the program with its output there."""
        self.process = subprocess.Popen(
            self.command,
            cwd=self.cwd,
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=end_with_parent,  # noqa: PLW1509  no thread runs in the supervisor
        )

    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def answers(self) -> bool:
        return answers(self.ready)

    def wait_until_ready(self, seconds: float) -> bool:
        """Whether the part answered in time; False at once when it ended."""
        deadline = time.monotonic() + seconds
        while self.running() and time.monotonic() < deadline:
            if self.answers():
                return True
            time.sleep(0.1)
        return False

    def last_words(self) -> str:
        """The end of the log, for a line that says why the part is gone."""
        try:
            lines = self.log.read_text(errors="replace").strip().splitlines()
        except OSError:
            return "no log"
        return (lines or ["the log is empty"])[-1][-500:]

    def stop(self, seconds: float = 15.0) -> None:
        """SIGTERM, and SIGKILL to the whole session for what does not go."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(seconds)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(5)
        self.process = None


def answers(url: str, timeout: float = 2.0) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=timeout) as response:
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def what_answers(url: str, timeout: float = 2.0) -> str:
    """What a browser gets there: ``page``, ``JSON``, ``text``, ``HTTP 500``, ``no answer``, or
    ``placeholder`` for the page of a Jaeger that was built without its own."""
    try:
        with urllib.request.urlopen(url, timeout=timeout) as response:
            kind = response.headers.get_content_type()
            if _PLACEHOLDER in response.read(4096):
                return "placeholder"
    except urllib.error.HTTPError as error:
        error.close()
        return f"HTTP {error.code}"
    except (OSError, ValueError):
        return "no answer"
    if kind in {"text/html", "application/xhtml+xml"}:
        return "page"
    return "JSON" if kind.endswith("json") else "text"


def rotate(log: Path) -> None:
    """Keep one older log beside the present one, so that the folder stays small."""
    if log.is_file() and log.stat().st_size > _LARGEST_LOG:
        log.replace(log.with_suffix(".1.log"))
