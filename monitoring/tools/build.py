"""Build the programs of the monitoring stack from source, once for each user and version.

``make tools`` calls this. It needs Go and nothing from the virtual environment, so that the
long builds can start before anything is installed. The binaries go to a cache folder outside
the checkout, named by version, so every clone shares them.

    python monitoring/tools/build.py            # build what is missing
    python monitoring/tools/build.py jaeger     # only this tool
    python monitoring/tools/build.py --list     # where each program is; exit 1 if one is missing
    python monitoring/tools/build.py --link DIR # build, and put a link to each program into DIR
"""

from __future__ import annotations

import argparse
import fcntl
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Program:
    """One binary: the Go package it is built from and how its release is recognised."""

    name: str
    tool: str
    package: str
    release: str
    tags: str = ""
    #: ``go.mod`` counts releases in another way for Jaeger (v1.76.0 is v2.13.0) and Prometheus.
    ldflags: str = ""

    @property
    def cached(self) -> Path:
        return cache_folder() / f"{self.tool}-{self.release}" / self.name

    def path(self) -> Path | None:
        """Where the program is: an official binary of the pinned release on PATH, or our build."""
        if self.cached.is_file():
            return self.cached
        return self.official()

    def official(self) -> Path | None:
        found = shutil.which(self.name)
        if not found:
            return None
        flag = "version" if self.name in {"caddy", "jaeger", "docker-compose"} else "--version"
        try:
            answer = subprocess.run(
                [found, flag], capture_output=True, text=True, timeout=10, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        pinned = rf"(?<![\d.]){re.escape(self.release)}(?![\d.])"
        return Path(found) if re.search(pinned, answer.stdout + answer.stderr) else None


_COMMON_VERSION = "github.com/prometheus/common/version.Version"
# The cloud discovery code is half of the Prometheus binary; static, file and HTTP discovery
# stay in with this tag, DNS and Kubernetes come back with theirs.
_PROMETHEUS_TAGS = "remove_all_sd,enable_dns_sd,enable_kubernetes_sd"

PROGRAMS = (
    Program(
        "alertmanager",
        "alertmanager",
        "github.com/prometheus/alertmanager/cmd/alertmanager",
        "0.31.1",
        ldflags=f"-X {_COMMON_VERSION}=0.31.1",
    ),
    Program(
        "amtool",
        "alertmanager",
        "github.com/prometheus/alertmanager/cmd/amtool",
        "0.31.1",
        ldflags=f"-X {_COMMON_VERSION}=0.31.1",
    ),
    Program(
        "prometheus",
        "prometheus",
        "github.com/prometheus/prometheus/cmd/prometheus",
        "3.16.0",
        tags=_PROMETHEUS_TAGS,
        ldflags=f"-X {_COMMON_VERSION}=3.16.0",
    ),
    Program(
        "promtool",
        "prometheus",
        "github.com/prometheus/prometheus/cmd/promtool",
        "3.16.0",
        tags=_PROMETHEUS_TAGS,
        ldflags=f"-X {_COMMON_VERSION}=3.16.0",
    ),
    Program(
        "jaeger",
        "jaeger",
        "github.com/jaegertracing/jaeger/cmd/jaeger",
        "2.13.0",
        ldflags="-X github.com/jaegertracing/jaeger/internal/version.latestVersion=v2.13.0",
    ),
    Program(
        "docker-compose",
        "compose",
        "github.com/docker/compose/v2/cmd",
        "2.40.3",
        ldflags="-X github.com/docker/compose/v2/internal.Version=v2.40.3",
    ),
    # The reverse proxy of docker-compose.production.yml.
    Program(
        "caddy",
        "caddy",
        "github.com/caddyserver/caddy/v2/cmd/caddy",
        "2.11.9",
        ldflags="-X github.com/caddyserver/caddy/v2.CustomVersion=v2.11.9",
    ),
    # Checks the workflows of GitHub Actions; a test runs it.
    Program(
        "actionlint",
        "actionlint",
        "github.com/rhysd/actionlint/cmd/actionlint",
        "1.7.12",
        ldflags="-X github.com/rhysd/actionlint.version=1.7.12",
    ),
)


def cache_folder() -> Path:
    """``EXPENSE_TRACKER_TOOLS``, or the user's cache folder as the XDG specification has it."""
    chosen = os.environ.get("EXPENSE_TRACKER_TOOLS")
    if chosen:
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "expense-tracker" / "tools"


def find(name: str) -> Path | None:
    """The path of one program by name, or None while it is not there."""
    return next(program for program in PROGRAMS if program.name == name).path()


def link(folder: Path) -> list[str]:
    """Put a link to each program that is there into ``folder``; the names of those that are not."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = []
    for program in PROGRAMS:
        place, target = folder / program.name, program.path()
        if target is None:
            missing.append(program.name)
        elif not place.is_symlink() or place.readlink() != target:
            # Put in place at once: somebody may be about to run it.
            unfinished = folder / f".{program.name}.{os.getpid()}"
            unfinished.symlink_to(target)
            unfinished.replace(place)
    return missing


def go_problem() -> str | None:
    """None where Go can build the tools, else one line that says what is wrong."""
    if not shutil.which("go"):
        return (
            "Go is not installed: install Go 1.26 or newer, or use the images of the compose files"
        )
    answer = subprocess.run(["go", "version"], capture_output=True, text=True, check=False).stdout
    version = re.search(r"go(\d+)\.(\d+)", answer)
    if not version or (int(version[1]), int(version[2])) < (1, 26):
        return f"Go 1.26 or newer is needed, this is: {answer.strip() or 'unknown'}"
    return None


@contextmanager
def locked(tool: str) -> Iterator[None]:
    """One build of a tool at a time for all clones of this user."""
    cache_folder().mkdir(parents=True, exist_ok=True)
    with (cache_folder() / f".{tool}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def build(program: Program) -> bool:
    """Build one program; a half-finished build never stands where a binary is looked for."""
    with locked(program.tool):
        if program.path():
            return True
        started = time.monotonic()
        say(f"building {program.name} {program.release} ...")
        program.cached.parent.mkdir(parents=True, exist_ok=True)
        unfinished = program.cached.with_suffix(".unfinished")
        command = ["go", "build", "-trimpath", "-buildvcs=false", "-mod=readonly"]
        if program.tags:
            command += ["-tags", program.tags]
        command += ["-ldflags", f"-s -w {program.ldflags}", "-o", str(unfinished), program.package]
        environment = os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "", "GOTOOLCHAIN": "local"}
        result = subprocess.run(
            command,
            cwd=HERE / program.tool,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        seconds = time.monotonic() - started
        if result.returncode:
            unfinished.unlink(missing_ok=True)
            tail = "\n".join(result.stdout.strip().splitlines()[-15:])
            say(f"{program.name} was not built ({seconds:.0f} s). Go says:\n{tail}")
            return False
        unfinished.rename(program.cached)
        say(f"built {program.name} {program.release} in {seconds:.0f} s: {program.cached}")
        return True


def say(message: str) -> None:
    print(f"tools: {message}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the programs of the monitoring stack.")
    parser.add_argument("names", nargs="*", help="programs or tools to build (default: all)")
    parser.add_argument("--list", action="store_true", help="print where each program is")
    parser.add_argument(
        "--link", metavar="FOLDER", type=Path, help="put a link to each program there"
    )
    arguments = parser.parse_args()
    status = make(parser, arguments)
    if arguments.link:
        missing = link(arguments.link)
        say(
            f"all on one path: {arguments.link.resolve()}"
            + (f" (but for {', '.join(missing)})" if missing else "")
        )
    return status


def make(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    """Build or list what is asked for; the exit status."""
    known = {program.name for program in PROGRAMS} | {program.tool for program in PROGRAMS}
    for name in arguments.names:
        if name not in known:
            parser.error(f"unknown program {name!r}; known are {', '.join(sorted(known))}")
    wanted = [
        program
        for program in PROGRAMS
        if not arguments.names or {program.name, program.tool} & set(arguments.names)
    ]
    missing = [program for program in wanted if not program.path()]
    if arguments.list:
        for program in wanted:
            print(f"{program.name:15} {program.release:8} {program.path() or 'missing'}")
        return 1 if missing else 0
    if not missing:
        say("all programs are there: " + str(cache_folder()))
        return 0
    if problem := go_problem():
        say(problem)
        return 1
    # Every one is tried, also after one that failed.
    failed = [program.name for program in missing if not build(program)]
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
