"""Write the dashboards as JSON, or check that the committed JSON is what the code says.

python -m monitoring.grafana.generate [--check]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from monitoring.grafana.boards import BOARDS
from monitoring.grafana.boards.common import ANNOTATIONS

FOLDER = Path(__file__).resolve().parent / "dashboards"


def generated() -> dict[str, str]:
    """File names and their content."""
    encoder = JSONEncoder(sort_keys=True, indent=2)
    boards = [json.loads(encoder.encode(make().build())) for make in BOARDS]
    for board in boards:
        for annotation in board["annotations"]["list"]:
            annotation["titleFormat"] = ANNOTATIONS[annotation["name"]]
    return {
        f"{board['uid']}.json": json.dumps(board, sort_keys=True, indent=2) + "\n"
        for board in boards
    }


def main() -> int:
    wanted = generated()
    if "--check" in sys.argv[1:]:
        present = {file.name: file.read_text() for file in FOLDER.glob("*.json")}
        differing = sorted(
            name for name in wanted.keys() | present.keys() if wanted.get(name) != present.get(name)
        )
        for name in differing:
            print(f"{FOLDER / name} is not what the code says: make dashboards")
        return 1 if differing else 0
    FOLDER.mkdir(exist_ok=True)
    for file in FOLDER.glob("*.json"):
        file.unlink()
    for name, text in wanted.items():
        (FOLDER / name).write_text(text)
    print(f"{len(wanted)} dashboards in {FOLDER}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
