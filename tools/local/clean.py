"""``make clean``: remove the local run's data, logs and secrets, and the virtual environment."""

from __future__ import annotations

import shutil
import sys

from tools.local import runs
from tools.local.layout import ROOT, from_environment

_CACHES = (".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", ".import_linter_cache")


def main() -> int:
    layout = from_environment()
    process = runs.supervisor(layout)
    if process is not None:
        print(f"still running (process {process}): make down first")
        return 1
    venvs = [folder for folder in ROOT.glob(".venv*") if (folder / "pyvenv.cfg").is_file()]
    for folder in [layout.folder, *venvs, *(ROOT / name for name in _CACHES), ROOT / "staticfiles"]:
        if folder.is_dir():
            print(f"removing {folder}")
            shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
