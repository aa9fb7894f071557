"""Make the virtual environment and install the pinned requirements, once for each change of them.

Runs with the machine's own ``python3`` and nothing else:
``python3 tools/local/make_venv.py .venv``. A half-finished install leaves no stamp, so the next run
does it again.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = ROOT / "requirements" / "dev.txt"
OLDEST = (3, 11)


def wanted() -> str:
    """What a finished install is recognised by: interpreter and requirements."""
    digest = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    return f"{sys.version.split()[0]} {sys.base_prefix} {digest}\n"


def make(folder: Path) -> str | None:
    """None when the environment is ready, else one line that says what is wrong."""
    if sys.version_info[:2] < OLDEST:
        return (
            f"Python {OLDEST[0]}.{OLDEST[1]} or newer is needed, python3 is "
            f"{sys.version.split()[0]}: name another one, make PYTHON=python3.12 …"
        )
    stamp = folder / "installed"
    if stamp.is_file() and stamp.read_text() == wanted():
        return None
    stamp.unlink(missing_ok=True)
    config = folder / "pyvenv.cfg"
    if config.is_file() and f"version = {sys.version.split()[0]}" not in config.read_text():
        shutil.rmtree(folder)
    print(f"installing the requirements into {folder} ...", flush=True)
    made = run([sys.executable, "-m", "venv", str(folder)])
    if made:
        return (
            f"python3 cannot make a virtual environment (Debian: apt install python3-venv): {made}"
        )
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--quiet"]
    failed = run([*pip, "install", "--require-hashes", "-r", str(REQUIREMENTS)])
    if failed:
        return f"the requirements were not installed (no network? then try again later): {failed}"
    stamp.write_text(wanted())
    return None


def run(command: list[str]) -> str | None:
    """None, or the last line of what a failing command said."""
    result = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if result.returncode == 0:
        return None
    return (result.stdout.strip().splitlines() or ["no output"])[-1]


if __name__ == "__main__":
    chosen = Path(sys.argv[1] if len(sys.argv) > 1 else ".venv").resolve()
    with chosen.with_name(f"{chosen.name}.lock").open("w") as lock:
        # Two makes at once: the second waits, and finds everything there.
        fcntl.flock(lock, fcntl.LOCK_EX)
        problem = make(chosen)
    if problem:
        sys.exit(f"venv: {problem}")
