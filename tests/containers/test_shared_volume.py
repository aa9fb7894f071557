"""The store of metrics on a volume that two containers share: the master of each is PID 1, again
after each restart."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import requests

from testing.servers import poll
from tests.conftest import samples
from tools.containers.compose import IMAGE, ComposeSystem
from tools.containers.images import docker

pytestmark = [pytest.mark.containers, pytest.mark.timeout(300)]

FOLDER = "/metrics"
LIVE = "/health/live"
COUNTED = "/api/v1/expenses/"


class Instance:
    """One container of the API's image that keeps its metric files on the volume."""

    def __init__(self, name: str, system: ComposeSystem, volume: str) -> None:
        self.name = name
        environment = system.inspect("api", ".Config.Env")
        docker(
            *("run", "--detach", "--name", name, "--read-only", "--cap-drop", "ALL"),
            *("--network", f"{system.project}_default", "--tmpfs", "/tmp"),
            *("--volume", f"{volume}:{FOLDER}"),
            *(part for each in environment for part in ("--env", each)),
            *("--env", f"PROMETHEUS_MULTIPROC_DIR={FOLDER}", IMAGE),
        )

    def wait(self) -> None:
        poll(self._lives, 60, f"{self.name} does not answer")

    def _lives(self) -> bool:
        try:
            return self.get(LIVE).status_code == 200
        except requests.RequestException:
            return False

    def get(self, path: str) -> requests.Response:
        """Ask by the container's own address, which a restart may change."""
        text = docker("inspect", "--format", "{{json .NetworkSettings.Networks}}", self.name).stdout
        (network,) = json.loads(text).values()
        url = f"http://{network['IPAddress']}:8080{path}"
        return requests.get(url, headers={"Host": "localhost"}, timeout=10)

    def counted(self) -> float:
        labels = frozenset({"method": "GET", "endpoint": COUNTED, "status": "401"}.items())
        return samples(self.get("/metrics").text).get(("http_requests_total", labels), 0.0)

    def masters(self) -> list[str]:
        """The PIDs of the masters that have a file on the volume, one of each instance."""
        text = docker("exec", self.name, "sh", "-c", f"cd {FOLDER} && echo */master-*").stdout
        return [file.partition("/master-")[2].partition("-")[0] for file in text.split()]


@pytest.fixture
def two(whole_system: ComposeSystem) -> Iterator[list[Instance]]:
    volume = f"{whole_system.project}-metrics"
    options = ("type=tmpfs", "device=tmpfs", "o=size=128m,uid=10001,gid=10001")
    docker("volume", "create", *(part for each in options for part in ("--opt", each)), volume)
    names = [f"{whole_system.project}-sharing-{index}" for index in (1, 2)]
    try:
        instances = [Instance(name, whole_system, volume) for name in names]
        for instance in instances:
            instance.wait()
        yield instances
    finally:
        for name in names:
            docker("rm", "--force", name, check=False)
        docker("volume", "rm", volume, check=False)


def test_each_counts_its_own_requests_over_restarts(two: list[Instance]) -> None:
    first, second = two
    for instance, requests_sent in ((first, 5), (second, 7)):
        for _ in range(requests_sent):
            instance.get(COUNTED)
    assert (first.counted(), second.counted()) == (5, 7)
    assert first.masters() == ["1", "1"]

    for restart in (1, 2, 3):
        docker("kill", first.name)
        # What it left behind is not taken for its neighbour's, whose PIDs are the same.
        assert second.counted() == 7
        docker("start", first.name)
        first.wait()
        for _ in range(restart):
            first.get(COUNTED)
        assert first.counted() == restart
        assert second.counted() == 7

    # Those of the killed were removed.
    assert first.masters() == ["1", "1"]
