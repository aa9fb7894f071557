"""``make logs ID=…``: the lines of one correlation, trace or span ID, oldest first."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tools.local.layout import from_environment

_IDS = ("correlation_id", "trace_id", "span_id")


def main() -> int:
    if len(sys.argv) != 2 or not sys.argv[1].strip():
        print("usage: make logs ID=a-correlation-or-trace-id", file=sys.stderr)
        return 2
    wanted = sys.argv[1].strip()
    folder = from_environment().logs
    found = sorted(matching(folder, wanted), key=lambda line: str(line[0].get("timestamp", "")))
    for _, text in found:
        print(text)
    if not found:
        print(f"no line of {wanted} in {folder}", file=sys.stderr)
        return 1
    return 0


def matching(folder: Path, wanted: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Each JSON line with this very ID; lines of others that merely contain it are left out."""
    for file in sorted(folder.glob("*.log")):
        with file.open(errors="replace") as lines:
            for text in lines:
                if wanted not in text or not text.startswith("{"):
                    continue
                try:
                    line = json.loads(text)
                except ValueError:
                    continue
                if any(line.get(name) == wanted for name in _IDS):
                    yield line, text.rstrip("\n")


if __name__ == "__main__":
    sys.exit(main())
