"""``make test-pythons``: the tests on each supported Python that this machine has.

Each gets a virtual environment of its own, ``.venv-3.12`` and so on. The end-to-end tests are
left to ``make test``: what they start is the same on every interpreter.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SUPPORTED = ("3.11", "3.12", "3.13", "3.14")


def interpreters() -> dict[str, Path]:
    """One interpreter for each supported version: from PATH, or from pyenv's folder."""
    found: dict[str, Path] = {}
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for version in SUPPORTED:
        candidates = sorted(pyenv.glob(f"{version}.*/bin/python"), reverse=True)
        named = shutil.which(f"python{version}")
        if named:
            candidates.append(Path(named))
        for candidate in candidates:
            if _version(candidate) == version:
                found[version] = candidate
                break
    return found


def _version(python: Path) -> str:
    answer = subprocess.run([python, "--version"], capture_output=True, text=True, check=False)
    match = re.match(r"Python (\d+\.\d+)\.", answer.stdout)
    return match[1] if match else ""


def run(version: str, python: Path) -> bool:
    folder = ROOT / f".venv-{version}"
    made = subprocess.run([python, "tools/local/make_venv.py", str(folder)], cwd=ROOT, check=False)
    if made.returncode:
        return False
    tests = [str(folder / "bin" / "python"), "-m", "pytest", "-q", "-m", "not e2e"]
    return subprocess.run(tests, cwd=ROOT, check=False).returncode == 0


def main() -> int:
    found = interpreters()
    if not found:
        print(f"none of Python {', '.join(SUPPORTED)} is on this machine")
        return 1
    results = {}
    for version, python in found.items():
        print(f"--- Python {version} ({python})", flush=True)
        results[version] = run(version, python)
    for version in SUPPORTED:
        told = {True: "passed", False: "FAILED", None: "not on this machine"}
        print(f"Python {version:5} {told[results.get(version)]}")
    return 0 if all(results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
