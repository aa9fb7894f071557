"""Several Prometheus for many instances: each scrapes a part, and one more sees the whole.

    python -m monitoring.production.federation --out DIR prometheus-0:9090 prometheus-1:9090

writes ``DIR/shard-0``, ``DIR/shard-1`` (``prometheus.yml`` and ``rules/``, for the targets that
they all know) and ``DIR/whole``, which federates what the shards record. All of it is derived from
the shipped files:

- A recording rule that reads scraped series is evaluated by each shard; the whole adds the shards'
  results up under the same name. One that reads recorded series (a ratio, an average over days)
  is evaluated by the whole, of the sums.
- An alert that reads recorded series and ``up`` alone is evaluated by the whole, any other by each
  shard about its part.
"""

from __future__ import annotations

import argparse
import copy
import re
from pathlib import Path
from typing import Any

import yaml

from monitoring.alerts.table import JOB
from monitoring.render import HERE

#: What the whole calls a series of a shard before it is added up.
PREFIX = "shard_"
_WORDS = {"and", "bool", "inf", "nan", "offset", "or", "unless"}
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")

Configuration = dict[str, Any]
Rule = dict[str, Any]


def reads(expression: str) -> set[str]:
    """The names of the series that an expression reads."""
    # Label matchers, then ranges: both may hold words.
    bare = re.sub(r'\{(?:"[^"]*"|[^}"])*\}|\[[^\]]*\]|"[^"]*"', " ", expression)
    bare = _GROUPING.sub(" ", bare)
    names = re.findall(r"(?<![\w.:])([a-zA-Z_:][\w:]*)\b(?!\s*\()", bare)
    return {name for name in names if name.lower() not in _WORDS}


def scraped(expression: str) -> bool:
    """Whether the expression reads what only a shard has.

    Everybody has ``ALERTS``, about the alerts of their own.
    """
    return any(":" not in name and name not in {"up", "ALERTS"} for name in reads(expression))


def shard_configuration(shipped: Configuration, number: int, shards: int) -> Configuration:
    """``prometheus.yml`` of one shard: of the API's instances those whose hash is its number."""
    configuration = copy.deepcopy(shipped)
    configuration["global"]["external_labels"] = {"shard": str(number)}
    # The same alert of two shards is one.
    configuration["alerting"]["alert_relabel_configs"] = [{"action": "labeldrop", "regex": "shard"}]
    for job in configuration["scrape_configs"]:
        if job["job_name"] == JOB:
            job["relabel_configs"] = [
                {
                    "source_labels": ["__address__"],
                    "modulus": shards,
                    "target_label": "__tmp_shard",
                    "action": "hashmod",
                },
                {"source_labels": ["__tmp_shard"], "regex": str(number), "action": "keep"},
            ]
    return configuration


def whole_configuration(
    shipped: Configuration, rules: list[Rule], shards: list[str]
) -> Configuration:
    """``prometheus.yml`` of the whole. ``rules`` are the shipped ones, ``shards`` are addresses."""
    names = sorted({rule["record"] for rule in rules if "record" in rule and scraped(rule["expr"])})
    # A locked Prometheus is asked as it asks itself.
    itself = next(job for job in shipped["scrape_configs"] if job["job_name"] == "prometheus")
    door = {name: itself[name] for name in ("scheme", "basic_auth", "tls_config") if name in itself}
    federate = {
        "job_name": "prometheus",
        "metrics_path": "/federate",
        # A series' own job and instance, not the shard's.
        "honor_labels": True,
        "params": {"match[]": [f'{{__name__=~"{"|".join([*names, "up"])}"}}']},
        "static_configs": [{"targets": shards}],
        "metric_relabel_configs": [
            {
                "source_labels": ["__name__"],
                "regex": "(.+:.+)",
                "target_label": "__name__",
                "replacement": f"{PREFIX}$1",
            }
        ],
        **door,
    }
    return {
        **{name: shipped[name] for name in ("global", "rule_files", "alerting")},
        "scrape_configs": [federate],
    }


def shard_rules(groups: list[Configuration]) -> list[Configuration]:
    """The groups of a rule file as far as a shard evaluates them."""
    return _groups(groups, lambda rule: rule if scraped(rule["expr"]) else None)


def whole_rules(groups: list[Configuration]) -> list[Configuration]:
    """The groups of a rule file as the whole evaluates them."""

    def over_all(rule: Rule) -> Rule | None:
        if not scraped(rule["expr"]):
            return rule
        if "record" not in rule:
            return None
        labels = ", ".join(f'{k}="{v}"' for k, v in rule.get("labels", {}).items())
        series = f"{PREFIX}{rule['record']}{{{labels}}}"
        return rule | {"expr": f"sum without (shard) ({series})"}

    return _groups(groups, over_all)


def _groups(groups: list[Configuration], change: Any) -> list[Configuration]:
    changed = (
        group | {"rules": [rule for each in group["rules"] if (rule := change(each))]}
        for group in groups
    )
    return [group for group in changed if group["rules"]]


def write(out: Path, shards: list[str], shipped: Path = HERE / "prometheus") -> None:
    """Write ``shard-N`` and ``whole`` from the ``prometheus.yml`` and ``rules/`` of ``shipped``."""
    configuration = yaml.safe_load((shipped / "prometheus.yml").read_text())
    files = {
        file.name: yaml.safe_load(file.read_text())["groups"]
        for file in sorted((shipped / "rules").glob("*.yml"))
    }
    rules = [rule for groups in files.values() for group in groups for rule in group["rules"]]
    for number in range(len(shards)):
        _write(
            out / f"shard-{number}",
            shard_configuration(configuration, number, len(shards)),
            {name: shard_rules(groups) for name, groups in files.items()},
        )
    _write(
        out / "whole",
        whole_configuration(configuration, rules, shards),
        {name: whole_rules(groups) for name, groups in files.items()},
    )


def _write(
    folder: Path, configuration: Configuration, files: dict[str, list[Configuration]]
) -> None:
    (folder / "rules").mkdir(parents=True, exist_ok=True)
    _dump(folder / "prometheus.yml", configuration)
    for name, groups in files.items():
        _dump(folder / "rules" / name, {"groups": groups})


def _dump(file: Path, content: Configuration) -> None:
    file.write_text(yaml.safe_dump(content, sort_keys=False, width=200))


def main() -> None:
    parser = argparse.ArgumentParser(description="Derive the configuration of several Prometheus.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--locked", type=Path, help="folder of `make production-secrets`, for locked doors"
    )
    parser.add_argument("shards", nargs="+", metavar="HOST:PORT", help="address of each shard")
    given = parser.parse_args()
    locked = given.locked / "prometheus" if given.locked else HERE / "prometheus"
    write(given.out, given.shards, locked)


if __name__ == "__main__":
    main()
