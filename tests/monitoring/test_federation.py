"""Two Prometheus with half of the instances each, and a third that sees the whole."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, product
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from monitoring.production import federation
from monitoring.render import HERE, render
from monitoring.tools.build import find
from testing import servers
from testing.postgres import free_port
from testing.servers import Server, gunicorn, make_database, poll
from tests.monitoring.test_rules import promtool
from tools.local import stack
from tools.local.layout import PORTS, Layout
from tools.local.parts import Part

SPEED = 30
#: Requests to each instance.
SENT = 40
JOB = 'job="expense-tracker-api"'
FILES = {
    file.name: yaml.safe_load(file.read_text())["groups"]
    for file in (HERE / "prometheus/rules").glob("*.yml")
}


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("vector(1)", set()),
        ('up{job="a b"} == 0 or absent(up{job="a"})', {"up"}),
        ('sum by (job, le) (rate(a_bucket{x=~"b|c{2}"}[5m])) > 1e3', {"a_bucket"}),
        ("a == 0 or b unless on (job) c:d:e offset 5m", {"a", "b", "c:d:e"}),
        ("avg_over_time(slo:x:increase5m{}[6h]) * 72", {"slo:x:increase5m"}),
    ],
)
def test_the_series_that_an_expression_reads(expression: str, names: set[str]) -> None:
    assert federation.reads(expression) == names


def rules(groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [rule for group in groups for rule in group["rules"]]


@pytest.mark.parametrize("name", FILES)
def test_each_alert_is_evaluated_in_one_place(name: str) -> None:
    shipped = [rule["alert"] for rule in rules(FILES[name]) if "alert" in rule]

    shard = [
        rule["alert"] for rule in rules(federation.shard_rules(FILES[name])) if "alert" in rule
    ]
    whole = [
        rule["alert"] for rule in rules(federation.whole_rules(FILES[name])) if "alert" in rule
    ]

    assert sorted(shard + whole) == sorted(shipped)


def test_what_the_shards_record_can_be_added_up() -> None:
    """A sum of sums is right; a sum of ratios or quantiles would not be."""
    recorded = [
        rule["expr"]
        for groups in FILES.values()
        for rule in rules(groups)
        if "record" in rule and federation.scraped(rule["expr"])
    ]

    assert recorded
    assert [expression for expression in recorded if not expression.startswith("sum by (")] == []
    assert [text for text in recorded if "/" in text.split("[")[0] and "endpoint" not in text] == []


def test_the_whole_records_every_shipped_name() -> None:
    shipped = {rule["record"] for rule in rules(FILES["recording.yml"])}

    whole = {rule["record"] for rule in rules(federation.whole_rules(FILES["recording.yml"]))}

    assert whole == shipped


def test_promtool_reads_all_of_it(tmp_path: Path) -> None:
    federation.write(tmp_path, ["prometheus-0:9090", "prometheus-1:9090"])

    for part in ("shard-0", "shard-1", "whole"):
        (tmp_path / part / "targets").symlink_to(HERE / "prometheus/targets/compose")
        result = promtool("check", "config", str(tmp_path / part / "prometheus.yml"))
        assert result.returncode == 0, result.stdout + result.stderr
        assert "WARNING" not in result.stdout


def test_remote_write_fits_beside_the_shipped_configuration(tmp_path: Path) -> None:
    shipped = yaml.safe_load((HERE / "prometheus/prometheus.yml").read_text())
    example = yaml.safe_load((HERE / "prometheus/remote-write.yml").read_text())
    merged = shipped | example | {"global": shipped["global"] | example["global"]}
    (tmp_path / "secrets").mkdir()
    for name in ("remote_write_password", "ca.crt"):
        (tmp_path / "secrets" / name).touch()
    for name in ("rules", "targets"):
        source = HERE / "prometheus" / ("targets/compose" if name == "targets" else name)
        (tmp_path / name).symlink_to(source)
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(merged))

    result = promtool("check", "config", str(tmp_path / "prometheus.yml"))

    assert result.returncode == 0, result.stdout + result.stderr


def shard_of(address: str) -> int:
    """Prometheus' hashmod over two shards: the last eight bytes of the MD5 sum."""
    return hashlib.md5(address.encode()).digest()[-1] % 2


@dataclass
class Federated:
    """The running instances, shards and the whole; ``urls`` by name."""

    instances: list[Server]
    urls: dict[str, str]

    def query(self, where: str, expression: str, at: float | None = None) -> list[dict[str, Any]]:
        given = {"query": expression, **({} if at is None else {"time": repr(at)})}
        answer = requests.get(f"{self.urls[where]}/api/v1/query", given, timeout=10).json()
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def samples(self, where: str, series: str) -> dict[float, str]:
        """Time and value of the samples of one series in the last minute."""
        (found,) = self.query(where, f"{series}[1m]") or [{"values": []}]
        return {at: value for at, value in found["values"]}  # noqa: C416  pairs are lists


@pytest.fixture(scope="module")
def federated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federated]:
    if find("prometheus") is None:
        pytest.skip("not built: prometheus (make tools)")
    base = tmp_path_factory.mktemp("federation")
    instances = [instance(number) for number in range(2)]
    layouts = {
        name: Layout(base / name, {port: free_port() for port in PORTS})
        for name in ("shard-0", "shard-1", "whole")
    }
    addresses = {name: each.address("PROMETHEUS_SERVER_PORT") for name, each in layouts.items()}
    parts: list[Part] = []
    try:
        render(
            base / "shipped",
            api="127.0.0.1:1",
            alertmanager="127.0.0.1:1",
            jaeger_metrics="127.0.0.1:1",
            prometheus=addresses["shard-0"],
            notifications="127.0.0.1:1",
            speed=SPEED,
        )
        shipped = base / "shipped/prometheus"
        every = [{"targets": [f"127.0.0.1:{each.port}" for each in instances]}]
        (shipped / "targets/api.yml").write_text(yaml.safe_dump(every))
        shards = [addresses["shard-0"], addresses["shard-1"]]
        federation.write(base / "config", shards, shipped)
        for name, layout in layouts.items():
            layout.make()
            (base / "config" / name / "targets").symlink_to(shipped / "targets")
            part = stack.prometheus(layout, base / "config" / name / "prometheus.yml")
            parts.append(part)
            part.start()
        for part in parts:
            assert part.wait_until_ready(30), part.last_words()
        running = Federated(
            instances, {name: f"http://{address}" for name, address in addresses.items()}
        )
        scraped = "count(up{" + JOB + "} == 1)"
        for name in ("shard-0", "shard-1"):
            poll(lambda name=name: running.query(name, scraped), 30, f"{name} scrapes nothing")
        for each in instances:
            for _ in range(SENT):
                each.get("/api/schema/", headers={"Accept": "application/json"})
        yield running
    finally:
        for part in parts:
            part.stop()
        for each in instances:
            each.stop()


def instance(number: int) -> Server:
    """An API instance on a port that falls to this shard."""
    ports = (free_port() for _ in count())
    chosen = next(port for port in ports if shard_of(f"127.0.0.1:{port}") == number)
    given = iter([chosen, free_port()])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(servers, "free_port", lambda: next(given))
        database = {"DATABASE_URL": make_database(f"shard_{number}", "config.settings")}
        return Server(gunicorn(workers=1), database)


@pytest.mark.servers
def test_each_shard_scrapes_its_own_instances(federated: Federated) -> None:
    for number, each in enumerate(federated.instances):
        found = federated.query(f"shard-{number}", f"up{{{JOB}}} == 1")
        assert [one["metric"]["instance"] for one in found] == [f"127.0.0.1:{each.port}"]


@pytest.mark.servers
def test_the_whole_knows_every_instance_and_every_shard(federated: Federated) -> None:
    def up() -> set[str]:
        found = federated.query("whole", "up == 1")
        return {one["metric"]["instance"] for one in found}

    everybody = {f"127.0.0.1:{each.port}" for each in federated.instances}
    everybody |= {federated.urls[f"shard-{n}"].removeprefix("http://") for n in range(2)}
    poll(lambda: up() >= everybody, 30, "the whole does not see all")


@pytest.mark.servers
def test_the_whole_has_what_the_shards_recorded(federated: Federated) -> None:
    for number in range(2):
        series = f'job:http_requests:rate5m{{{JOB}, shard="{number}"}}'
        there = f"job:http_requests:rate5m{{{JOB}}}"

        def shared(series: str = series, there: str = there, number: int = number) -> bool:
            copied = federated.samples("whole", federation.PREFIX + series)
            original = federated.samples(f"shard-{number}", there)
            return len(copied) > 3 and copied.items() <= original.items()

        poll(shared, 30, f"samples of shard {number} differ")


@pytest.mark.servers
def test_the_sums_agree(federated: Federated) -> None:
    """Whatever the whole recorded is one value of each shard added up, to the last bit."""
    name = "job:http_requests:rate5m"

    def agreements() -> list[bool]:
        """For each moment since the whole first had both shards: whether its sum is theirs."""
        for each in federated.instances:
            each.get("/api/schema/", headers={"Accept": "application/json"})
        recorded = federated.samples("whole", f"{name}{{{JOB}}}")
        shards = [federated.samples(f"shard-{number}", f"{name}{{{JOB}}}") for number in range(2)]
        found = [
            # A sample keeps the shard's time, and is here some scrapes later.
            float(value) in {float(one) + float(other) for one, other in recent(shards, at)}
            for at, value in sorted(recorded.items())
            if float(value) > 0
        ]
        return found[found.index(True) :] if True in found else []

    found = poll(lambda: len(seen := agreements()) > 5 and seen, 60, "the whole records no sum")

    assert all(found)


def recent(shards: list[dict[float, str]], at: float) -> product[tuple[str, ...]]:
    """Each value of the last seconds of one shard with each of the other."""
    values = ([value for when, value in each.items() if at - 5 < when <= at] for each in shards)
    return product(*values)


@pytest.mark.servers
def test_the_shards_counted_every_request_once(federated: Federated) -> None:
    counted = f'sum(http_requests_total{{{JOB}, endpoint="/api/schema/"}})'

    def total(where: str) -> float:
        return float((federated.query(where, counted) or [{"value": (0, "0")}])[0]["value"][1])

    def asked(each: Server) -> float:
        lines = each.log_lines()
        return sum(line.get("endpoint") == "/api/schema/" for line in lines)

    poll(
        lambda: all(total(f"shard-{n}") == asked(federated.instances[n]) for n in range(2)),
        30,
        "a shard counted other requests than its instance answered",
    )


@pytest.mark.servers
def test_rules_fail_nowhere(federated: Federated) -> None:
    for name, url in federated.urls.items():
        groups = requests.get(f"{url}/api/v1/rules", timeout=10).json()["data"]["groups"]
        bad = [rule for group in groups for rule in group["rules"] if rule["health"] == "err"]
        assert bad == [], name
