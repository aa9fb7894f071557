"""A container engine to run the compose files on: one that is there, or our own.

``docker`` that answers is used as it is. Without one, and as root, Debian's ``dockerd`` is started
with a data folder and a socket of its own, beside the user's tools, so that it cannot touch another
engine's containers; it is stopped when the block ends. Images stay in the data folder: the next
start finds them.

    python -m tools.containers.engine docker ps    # a command with an engine around it
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from monitoring.tools.build import cache_folder, find
from tools.local.parts import end_with_parent

#: Seconds that the engine may take until it answers, and to stop with all containers.
_START, _STOP = 60, 60


NO_COMPOSE = "the compose plugin is not built (make tools)"


class NoEngineError(RuntimeError):
    """No container engine answers and none can be started; the message says what is missing."""


def problem() -> str | None:
    """Return why no engine can be had here, None where one answers or can be started."""
    if find("docker-compose") is None:
        return NO_COMPOSE
    if shutil.which("docker") is None:
        return "docker is not installed (Debian: apt-get install docker.io)"
    if answers(os.environ.get("DOCKER_HOST")):
        return None
    if shutil.which("dockerd") is None:
        return "no container engine answers, and dockerd is not installed"
    if os.geteuid() != 0:
        return "no container engine answers, and only root can start one"
    return None


def answers(host: str | None) -> bool:
    """Return whether an engine answers at ``host`` (as in ``DOCKER_HOST``; None is the default)."""
    environment = {**os.environ, **({"DOCKER_HOST": host} if host else {})}
    try:
        result = subprocess.run(
            ["docker", "info", "--format", "{{.ServerVersion}}"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return result.returncode == 0 and bool(result.stdout.strip())


@contextmanager
def running() -> Iterator[str]:
    """Run an engine while the block runs, and give its address, also as ``DOCKER_HOST``.

    Raises NoEngineError.
    """
    if (reason := problem()) is not None:
        raise NoEngineError(reason)
    given = os.environ.get("DOCKER_HOST")
    if answers(given):
        yield given or "unix:///var/run/docker.sock"
        return
    folder = cache_folder() / "engine"
    folder.mkdir(parents=True, exist_ok=True)
    # One for all clones of this user: two engines on one data folder destroy it.
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        host = f"unix://{folder}/docker.sock"
        process = _start(folder, host)
        os.environ["DOCKER_HOST"] = host
        try:
            yield host
        finally:
            if given is None:
                del os.environ["DOCKER_HOST"]
            else:
                os.environ["DOCKER_HOST"] = given
            _stop(process)


def _start(folder: Path, host: str) -> subprocess.Popen[bytes]:
    log = folder / "log"
    _end_left_over(folder / "pid")
    (folder / "docker.sock").unlink(missing_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                "dockerd",
                *("--data-root", str(folder / "data")),
                *("--exec-root", str(folder / "exec")),
                *("--pidfile", str(folder / "pid")),
                *("--host", host),
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # A Ctrl-C is for the command; the engine is stopped behind it.
            start_new_session=True,
            preexec_fn=end_with_parent,  # noqa: PLW1509  no thread runs before the first engine
        )
    deadline = time.monotonic() + _START
    while time.monotonic() < deadline:
        if answers(host):
            return process
        if process.poll() is not None:
            break
        time.sleep(0.2)
    _stop(process)
    said = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    raise NoEngineError(f"dockerd does not start here: {said[-1] if said else 'it says nothing'}")


def _end_left_over(pidfile: Path) -> None:
    """End an engine of this folder whose starter was killed; we hold the folder's lock."""
    with suppress(OSError, ValueError):
        pid = int(pidfile.read_text())
        if b"dockerd" in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGTERM)
            deadline = time.monotonic() + _STOP
            while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
                time.sleep(0.2)
    pidfile.unlink(missing_ok=True)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the engine, and with it every container that it runs."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(_STOP)
        return
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)


def main() -> int:
    try:
        with running():
            return subprocess.run(sys.argv[1:], check=False).returncode
    except NoEngineError as error:
        print(f"engine: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
