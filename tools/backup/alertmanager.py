"""Alertmanager: its silences, asked of its API and posted to it again.

Its data folder would be up to 15 minutes old while it runs. Silences get new ids and the past of
theirs is not kept; which notifications were sent is not kept either, so that alerts that still fire
are told once more.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from monitoring.render import HERE
from tools.backup.errors import BackupError
from tools.backup.running import Running, ask
from tools.local import stack
from tools.local.layout import Layout

_KEPT = ("matchers", "startsAt", "endsAt", "createdBy", "comment", "annotations")


def save(running: Running, file: Path, _scratch: Path) -> int:
    found = ask("alertmanager", "GET", running.layout.url("ALERTMANAGER_PORT", "/api/v2/silences"))
    live = [each for each in found if each["status"]["state"] in {"active", "pending"}]
    silences = [{name: each[name] for name in _KEPT if name in each} for each in live]
    return file.write_text(json.dumps(silences, indent=1) + "\n")


def load(file: Path, layout: Layout) -> None:
    """Post the silences that have not ended to an Alertmanager on the new folder, and stop it."""
    now = datetime.now(UTC)
    try:
        silences: list[dict[str, Any]] = [
            each
            for each in json.loads(file.read_text())
            if datetime.fromisoformat(each["endsAt"]) > now
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise BackupError(f"{file} does not hold silences ({error!r})") from error
    part = stack.alertmanager(layout, HERE / "alertmanager/alertmanager.yml")
    part.start()
    try:
        if not part.wait_until_ready(30):
            raise BackupError(f"Alertmanager did not start: {part.last_words()}")
        for silence in silences:
            url = layout.url("ALERTMANAGER_PORT", "/api/v2/silences")
            ask("alertmanager", "POST", url, json=silence)
    finally:
        # It writes them to its folder when it ends.
        part.stop()
