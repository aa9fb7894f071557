"""``make dashboards-preview``: draw every panel from a live Prometheus, for people without Grafana.

    python -m monitoring.grafana.preview [--prometheus URL] [--out FOLDER] [--minutes 15]

Writes a picture for each dashboard and one page with all of them. Queries, units, legends,
thresholds and exemplars are those of the dashboards; Grafana's own look is Grafana's.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

import requests

from monitoring.grafana.drawing import draw, heading
from monitoring.grafana.generate import FOLDER
from monitoring.grafana.source import Source


def chosen(board: dict[str, Any], endpoint: str) -> dict[str, str]:
    """What a dashboard's variables stand for when it is opened; ``endpoint`` where it wants one."""
    found = {}
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            # A variable with one value holds it as text, one with several as a list.
            current = variable.get("current", {}).get("value") or endpoint
            first = current if isinstance(current, str) else current[0]
            found[f"${variable['name']}"] = variable["allValue"] if first == "$__all" else first
    return found


def page(boards: list[dict[str, Any]], out: Path, source: Source, endpoint: str) -> None:
    """All pictures on one page."""
    parts = [
        "<!doctype html><meta charset=utf-8><title>Dashboards</title>",
        "<body style='font: 15px sans-serif; max-width: 1080px; margin: 2em auto'>",
        f"<p>Drawn {datetime.now(UTC):%Y-%m-%d %H:%M} UTC from {escape(source.url)}.</p>",
    ]
    for board in boards:
        name = board["uid"]
        source.variables = chosen(board, endpoint)
        parts += [
            f"<h2 id='{name}'>{escape(board['title'])}</h2><p>{escape(board['description'])}<br>",
            f"<small>{escape(heading(board, source))}</small></p>",
            f"<img src='{name}.png' style='max-width: 100%' alt='{escape(board['title'])}'>",
        ]
    (out / "index.html").write_text("\n".join(parts) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description="Draw the dashboards from a live Prometheus.")
    parser.add_argument("--prometheus", default="http://127.0.0.1:9090")
    parser.add_argument("--out", type=Path, default=Path(".local/dashboards"))
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--endpoint", default="/api/v1/expenses/", help="of Endpoint Detail")
    arguments = parser.parse_args()
    if not 0 < arguments.minutes <= 60 * 24 * 31:
        parser.error(f"--minutes must be more than 0 and at most a month, not {arguments.minutes}")
    now = time.time()
    url = arguments.prometheus.rstrip("/")
    source = Source(url, now - arguments.minutes * 60, now)
    arguments.out.mkdir(parents=True, exist_ok=True)
    boards = [json.loads(file.read_text()) for file in sorted(FOLDER.glob("*.json"))]
    try:
        for board in boards:
            source.variables = chosen(board, arguments.endpoint)
            empty = draw(board, source, arguments.out / f"{board['uid']}.png")
            print(f"{board['uid']}.png" + (f", without data: {', '.join(empty)}" if empty else ""))
    except (requests.RequestException, RuntimeError, ValueError) as error:
        print(f"Prometheus at {url} could not be asked (make up starts one): {error}")
        return 1
    page(boards, arguments.out, source, arguments.endpoint)
    print(f"all on one page: {arguments.out / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
