"""Write Prometheus' rule files and their tests, or check that the committed ones are the same.

python -m monitoring.alerts.generate [--check]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

from monitoring.alerts import budget, dependencies, losses, probe, recording, service, stack
from monitoring.alerts.alert import Alert
from monitoring.alerts.cases import budget as budget_cases
from monitoring.alerts.cases import causes as cause_cases
from monitoring.alerts.cases import dependencies as dependency_cases
from monitoring.alerts.cases import first_start
from monitoring.alerts.cases import losses as loss_cases
from monitoring.alerts.cases import probe as probe_cases
from monitoring.alerts.cases import service as service_cases
from monitoring.alerts.cases import stack as stack_cases
from monitoring.alerts.cases.case import Case

FOLDER = Path(__file__).resolve().parent.parent / "prometheus"
_FIRST_LINE = "# Generated from monitoring/alerts/ by `make rules`; do not edit.\n"

#: Alerts by rule file.
ALERTS: dict[str, list[Alert]] = {
    "service": service.alerts(),
    "dependencies": dependencies.alerts(),
    "budget": budget.alerts(),
    "losses": losses.alerts(),
    "probe": probe.alerts(),
    "stack": stack.alerts(),
}

#: What is recorded in the same group, before its alerts.
RECORDS: dict[str, list[recording.Rule]] = {
    "service": service.records(),
    "dependencies": dependencies.records(),
}

#: By test file: the seconds between two evaluations, the rule files, the cases.
CASES: dict[str, tuple[int, list[str], list[Case]]] = {
    "service": (15, ["service"], service_cases.cases()),
    "dependencies": (15, ["dependencies"], dependency_cases.cases()),
    "losses": (15, ["losses"], loss_cases.cases()),
    "stack": (15, ["stack"], stack_cases.cases()),
    "budget": (60, ["recording", "budget"], budget_cases.fast()),
    "budget-slow": (300, ["recording", "budget"], budget_cases.slow()),
    "probe": (15, ["recording", *ALERTS], probe_cases.cases()),
    "causes": (15, [*ALERTS], cause_cases.cases()),
    "first-start": (15, ["recording", *ALERTS], first_start.cases()),
}


def generated() -> dict[str, str]:
    """Paths within ``monitoring/prometheus`` and their content."""
    rules = {alert.name: alert.rule() for alerts in ALERTS.values() for alert in alerts}
    files = {"rules/recording.yml": _text({"groups": recording.groups()})}
    for name, alerts in ALERTS.items():
        group = {
            "name": name,
            "rules": [*RECORDS.get(name, []), *(rules[alert.name] for alert in alerts)],
        }
        files[f"rules/{name}.yml"] = _text({"groups": [group]})
    for name, (step, needed, tests) in CASES.items():
        content = {
            "rule_files": [f"../rules/{each}.yml" for each in needed],
            "evaluation_interval": f"{step}s",
            # Else any order, and an alert would sometimes read what was recorded one step before.
            "group_eval_order": [
                group["name"]
                for each in needed
                for group in yaml.safe_load(files[f"rules/{each}.yml"])["groups"]
            ],
            "tests": [case.test(rules[case.alert], step) for case in tests],
        }
        files[f"tests/{name}.test.yml"] = _text(content)
    return files


def committed() -> dict[str, str]:
    """The same as it is on disk."""
    files = [*FOLDER.glob("rules/*.yml"), *FOLDER.glob("tests/*.yml")]
    return {str(file.relative_to(FOLDER)): file.read_text() for file in files}


class _Plain(yaml.SafeDumper):
    """Without anchors: a reader sees the labels where they belong."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def _text(content: dict[str, Any]) -> str:
    return _FIRST_LINE + yaml.dump(content, Dumper=_Plain, sort_keys=False, width=100)


def main() -> int:
    wanted, present = generated(), committed()
    if "--check" in sys.argv[1:]:
        differing = sorted(
            name for name in wanted.keys() | present.keys() if wanted.get(name) != present.get(name)
        )
        for name in differing:
            print(f"{FOLDER / name} is not what the code says: make rules")
        return 1 if differing else 0
    for name in present.keys() - wanted.keys():
        (FOLDER / name).unlink()
    for name, text in wanted.items():
        (FOLDER / name).write_text(text)
    print(f"{len(wanted)} files of rules and tests in {FOLDER}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
