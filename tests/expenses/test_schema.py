from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import call_command
from rest_framework.test import APIClient


@pytest.fixture
def schema(tmp_path: Path) -> dict[str, Any]:
    file = tmp_path / "schema.yml"
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(file))
    found: dict[str, Any] = yaml.safe_load(file.read_text())
    return found


def operations(schema: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{method.upper()} {path}", operation)
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    ]


def test_schema_is_openapi_3_1_and_valid(schema: dict[str, Any]) -> None:
    assert schema["openapi"].startswith("3.1.")
    assert len(operations(schema)) == 15


def test_every_operation_shows_its_errors_as_problems(schema: dict[str, Any]) -> None:
    for name, operation in operations(schema):
        assert {"500", "503"} <= operation["responses"].keys(), name
        if "login" not in name:
            assert operation["security"], name
        assert "401" in operation["responses"], name
        for status, answer in operation["responses"].items():
            if status >= "400":
                content = answer["content"]["application/problem+json"]
                assert content["schema"]["$ref"].endswith("/Problem"), name
                (example,) = content["examples"].values()
                assert example["value"]["status"] == int(status), name


def test_every_body_has_an_example(schema: dict[str, Any]) -> None:
    for name, operation in operations(schema):
        bodies = [operation["requestBody"]] if "requestBody" in operation else []
        bodies += [answer for status, answer in operation["responses"].items() if status < "300"]
        for content in (body["content"] for body in bodies if "content" in body):
            assert content["application/json"]["examples"], name


def test_faults_are_not_in_the_schema(schema: dict[str, Any]) -> None:
    assert not [path for path in schema["paths"] if "demo" in path]


def test_schema_and_docs_need_no_login(anonymous: APIClient) -> None:
    assert anonymous.get("/api/schema/").status_code == 200
    assert anonymous.get("/api/docs/").status_code == 200


def test_docs_page_loads_nothing_from_elsewhere(anonymous: APIClient) -> None:
    page = anonymous.get("/api/docs/").content.decode()

    loaded = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(loaded) == 5
    for address in loaded:
        assert address.startswith("/"), address
        answer = anonymous.get(address)
        assert answer.status_code == 200, address
        answer.close()
    assert "<script>" not in page
