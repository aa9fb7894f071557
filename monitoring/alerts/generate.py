"""Write Prometheus' rule files, or check that the committed ones are what the code says.

python -m monitoring.alerts.generate [--check]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

from monitoring.alerts import budget, dependencies, losses, recording, service, stack
from monitoring.alerts.alert import Alert

FOLDER = Path(__file__).resolve().parent.parent / "prometheus/rules"
_FIRST_LINE = "# Generated from monitoring/alerts/ by `make rules`; do not edit.\n"

#: Alerts by rule file.
ALERTS: dict[str, list[Alert]] = {
    "service": service.alerts(),
    "dependencies": dependencies.alerts(),
    "budget": budget.alerts(),
    "losses": losses.alerts(),
    "stack": stack.alerts(),
}


def generated() -> dict[str, str]:
    """File names and their content."""
    files = {"recording.yml": _text(recording.groups())}
    for name, alerts in ALERTS.items():
        files[f"{name}.yml"] = _text([{"name": name, "rules": [each.rule() for each in alerts]}])
    return files


class _Plain(yaml.SafeDumper):
    """Without anchors: a reader sees the labels where they belong."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def _text(groups: list[dict[str, Any]]) -> str:
    return _FIRST_LINE + yaml.dump({"groups": groups}, Dumper=_Plain, sort_keys=False, width=100)


def main() -> int:
    wanted = generated()
    if "--check" in sys.argv[1:]:
        present = {file.name: file.read_text() for file in FOLDER.glob("*.yml")}
        differing = sorted(
            name for name in wanted.keys() | present.keys() if wanted.get(name) != present.get(name)
        )
        for name in differing:
            print(f"{FOLDER / name} is not what the code says: make rules")
        return 1 if differing else 0
    for file in FOLDER.glob("*.yml"):
        file.unlink()
    for name, text in wanted.items():
        (FOLDER / name).write_text(text)
    print(f"{len(wanted)} rule files in {FOLDER}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
