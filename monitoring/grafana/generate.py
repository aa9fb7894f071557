"""Write the dashboards as JSON, or check that the committed JSON is what the code says.

python -m monitoring.grafana.generate [--check]
"""

from __future__ import annotations

import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from monitoring.grafana.boards import BOARDS

FOLDER = Path(__file__).resolve().parent / "dashboards"


def generated() -> dict[str, str]:
    """File names and their content."""
    encoder = JSONEncoder(sort_keys=True, indent=2)
    boards = [make().build() for make in BOARDS]
    return {f"{board.uid}.json": encoder.encode(board) + "\n" for board in boards}


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
