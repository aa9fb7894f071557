"""The files for people and services around the code: CI, hooks, updates."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitoring.tools.build import PROGRAMS, find

ROOT = Path(__file__).resolve().parent.parent
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def renovate() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((ROOT / "renovate.json").read_text())
    return loaded


def test_actionlint_accepts_the_workflows() -> None:
    program = find("actionlint")
    if program is None:
        pytest.skip("not built: actionlint (make tools)")

    # Without the checkers of shell and Python code that it uses where a machine has them.
    command = [program, "-shellcheck=", "-pyflakes=", *WORKFLOWS]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert (result.returncode, result.stdout) == (0, "")


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda workflow: workflow.name)
def test_each_stage_of_a_workflow_has_a_name_and_runs_one_make_target(workflow: Path) -> None:
    for job in yaml.safe_load(workflow.read_text())["jobs"].values():
        chosen = job.get("strategy", {}).get("matrix", {}).get("include", [{}])
        (command,) = (step["run"] for step in job["steps"] if "run" in step)
        for values in chosen:
            run = command.replace("${{ matrix.target }}", values.get("target", ""))
            assert job["name"]
            assert re.fullmatch(r"make [a-z-]+", run), run
            assert run.removeprefix("make ") in make_targets()


def test_the_hooks_run_programs_of_pinned_releases() -> None:
    (local,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    pinned = (ROOT / "requirements/dev.txt").read_text()

    for hook in local["hooks"]:
        program, *arguments = hook["entry"].split()
        if program == "make":
            assert arguments[-1] in make_targets()
        elif hook["language"] == "python":
            (dependency,) = hook["additional_dependencies"]
            assert re.fullmatch(rf"{program}==[\d.]+", dependency)
        else:
            assert re.search(rf"^{program.removeprefix('.venv/bin/')}==", pinned, re.MULTILINE)


def test_updates_cover_the_module_of_every_tool() -> None:
    (named,) = (
        rule["matchPackageNames"]
        for rule in renovate()["packageRules"]
        if rule.get("matchDepTypes") == ["indirect"]
    )

    for file in (ROOT / "monitoring/tools").glob("*/go.mod"):
        text = file.read_text()
        packages = re.findall(r"^(?:tool |\t)(\S+)$", text, re.MULTILINE)
        assert packages, file
        for package in packages:
            modules = [name for name in named if f"{package}/".startswith(f"{name}/")]
            assert modules, package
            assert re.search(rf"{re.escape(modules[0])} v\d", text), package


def test_the_files_whose_packages_are_updated_exist() -> None:
    (pattern,) = renovate()["pip_requirements"]["managerFilePatterns"]
    expression = re.compile(pattern.strip("/"))
    found = [path.relative_to(ROOT).as_posix() for path in ROOT.glob("requirements/*.txt")]

    assert found
    assert [name for name in found if not expression.search(name)] == []


def test_actionlint_is_built_from_the_release_that_its_module_requires() -> None:
    (program,) = (program for program in PROGRAMS if program.name == "actionlint")
    module = (ROOT / "monitoring/tools/actionlint/go.mod").read_text()

    assert f"github.com/rhysd/actionlint v{program.release} " in module
