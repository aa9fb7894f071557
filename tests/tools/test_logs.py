from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools.local import logs


def write(folder: Path, name: str, *lines: object) -> None:
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    (folder / name).write_text("\n".join(texts) + "\n")


def messages(folder: Path, wanted: str) -> list[str]:
    return [line["message"] for line, _ in logs.matching(folder, wanted)]


@pytest.mark.parametrize("field", ["correlation_id", "trace_id", "span_id"])
def test_a_line_is_found_by_each_of_its_ids(tmp_path: Path, field: str) -> None:
    write(tmp_path, "api.log", {"message": "wanted", field: "abc"})

    assert messages(tmp_path, "abc") == ["wanted"]


def test_a_line_that_only_contains_the_id_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, "api.log", {"message": "abc", "correlation_id": "abcd"})

    assert messages(tmp_path, "abc") == []


def test_lines_that_are_no_json_are_passed_over(tmp_path: Path) -> None:
    write(
        tmp_path,
        "api.log",
        "abc plain",
        '{"correlation_id": "abc',
        {"message": "ok", "trace_id": "abc"},
    )

    assert messages(tmp_path, "abc") == ["ok"]


def test_older_logs_are_searched_too(tmp_path: Path) -> None:
    write(tmp_path, "api.1.log", {"message": "older", "correlation_id": "abc"})
    write(tmp_path, "api.log", {"message": "newer", "correlation_id": "abc"})

    assert messages(tmp_path, "abc") == ["older", "newer"]
