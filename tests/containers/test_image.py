"""The service's image: what is in it, and what must not be."""

from __future__ import annotations

import json
import re
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.containers.compose import IMAGE
from tools.containers.images import docker

pytestmark = [pytest.mark.containers, pytest.mark.timeout(600)]


def run(*command: str) -> str:
    """Run a command in a new container as production does: no rights, nothing to write to."""
    options = ("--rm", "--read-only", "--cap-drop", "ALL", "--network", "none")
    return docker("run", *options, "--entrypoint", command[0], IMAGE, *command[1:]).stdout


@pytest.fixture(scope="module")
def layers(container_engine: str) -> Iterator[list[Path]]:
    """The image's own layers, unpacked; those of its base are somebody else's."""
    with tempfile.TemporaryDirectory(prefix="image-") as name:
        archive = Path(name) / "image.tar"
        docker("save", "--output", str(archive), f"{IMAGE}:latest")
        with tarfile.open(archive) as saved:
            saved.extractall(name, filter="data")
        (manifest,) = json.loads((Path(name) / "manifest.json").read_text())
        yield [Path(name) / layer for layer in manifest["Layers"]]


def test_it_runs_as_its_own_user_with_a_read_only_root(container_engine: str) -> None:
    assert run("id", "-u").strip() == "10001"
    assert "telemetry" in run("python", "-c", "import telemetry; print(telemetry.__name__)")


@pytest.mark.parametrize("tool", ["pip", "pip3", "gcc", "cc", "g++", "make", "git", "curl"])
def test_it_has_no_tool_that_a_server_does_not_need(container_engine: str, tool: str) -> None:
    assert run("sh", "-c", f"command -v {tool} || echo absent").strip() == "absent"


def test_it_has_no_package_manager_of_python_and_no_tests(container_engine: str) -> None:
    names = "pip ensurepip pytest _pytest mypy ruff tools testing tests benchmarks monitoring"
    code = (
        "import importlib.util, sys\n"
        "sys.path.insert(0, '/app')\n"
        f"print([n for n in '{names}'.split() if importlib.util.find_spec(n)])"
    )

    assert run("python", "-c", code).strip() == "[]"


def test_its_labels_are_those_of_open_containers(container_engine: str) -> None:
    text = docker("inspect", "--format", "{{json .Config.Labels}}", IMAGE).stdout
    labels = json.loads(text)

    assert labels["org.opencontainers.image.title"] == "expense-tracker-api"
    for name in ("version", "revision", "description"):
        assert labels[f"org.opencontainers.image.{name}"]


def test_its_bill_of_materials_names_what_is_installed(container_engine: str) -> None:
    bill = json.loads(run("cat", "/app/sbom.cdx.json"))
    installed = run(
        "python",
        "-c",
        "from importlib.metadata import distributions as d\n"
        "print('\\n'.join(f'{x.name}=={x.version}' for x in d()))",
    )

    def normal(name: str) -> str:
        return re.sub(r"[-_.]+", "-", name).lower()

    listed = {(normal(each["name"]), each["version"]) for each in bill["components"]}
    present = {
        (normal(name), version)
        for name, _, version in (line.partition("==") for line in installed.split())
    }
    assert bill["bomFormat"] == "CycloneDX"
    assert {("django", version) for name, version in listed if name == "django"} <= present
    assert present <= listed


#: What is a secret by its form, whatever file it stands in. Examples have the password
#: "password" or "REDACTED".
SECRETS = {
    "private key": rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/=]{40}",
    "password in an address": rb"(?:postgres|postgresql|https?|redis|amqp)://[\w.-]+:(?!(?:password|REDACTED)@)[^\s@/{$<*'\"]{6,}@\w",
    "value of a secret variable": (
        rb"(?m)^(?:export )?(?:DJANGO_SECRET_KEY|METRICS_TOKEN|LOGIN_PROBE_TOKEN|\w*PASSWORD)"
        rb"=['\"]?[\w+/.-]{8,}"
    ),
    "key of a cloud": rb"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bgh[pousr]_\w{36}|\bglpat-[\w-]{20}",
    "web token": rb"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}",
}


def test_no_layer_holds_a_secret(layers: list[Path]) -> None:
    named, contained = [], set()
    for layer in layers:
        with tarfile.open(layer) as archive:
            for member in archive:
                if member.name.startswith(("usr/", "etc/", "var/lib/dpkg/")):
                    continue  # of the base
                name = Path(member.name).name
                if re.fullmatch(r".*\.env|id_(rsa|ed25519)|.*\.key|\.netrc|\.git|\.pypirc", name):
                    named.append(member.name)
                if not member.isfile() or member.size > 5_000_000:
                    continue
                file = archive.extractfile(member)
                assert file is not None
                content = file.read()
                contained |= {
                    (member.name, kind)
                    for kind, form in SECRETS.items()
                    if re.search(form, content)
                }

    assert named == []
    assert sorted(contained) == []


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("-----BEGIN RSA PRIVATE KEY-----\n" + "A" * 64, "private key"),
        (
            "DATABASE_URL=postgresql://expenses:s3cret-word@postgres/expenses",
            "password in an address",
        ),
        ("DJANGO_SECRET_KEY=abcdefghijklmnop", "value of a secret variable"),
        ("POSTGRES_PASSWORD='correct-horse'", "value of a secret variable"),
        ("key: AKIAABCDEFGHIJKLMNOP", "key of a cloud"),
        ("token = eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmN", "web token"),
    ],
)
def test_the_forms_are_recognised(text: str, kind: str) -> None:
    assert [name for name, form in SECRETS.items() if re.search(form, text.encode())] == [kind]
