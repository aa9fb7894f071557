from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tools.local import layout, ports


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


def test_a_port_that_somebody_listens_on_is_not_free(taken: int) -> None:
    assert not ports.is_free(taken)


def test_who_holds_a_port_is_named(taken: int) -> None:
    assert "process" in ports.holder(taken)


def test_a_port_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_PORT", "8099")

    assert layout.from_environment().url("API_PORT") == "http://127.0.0.1:8099"


@pytest.mark.parametrize("wrong", ["eighty", "-1", "70000", "80.5"])
def test_a_port_that_is_none_stops_with_its_name(
    monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    monkeypatch.setenv("API_PORT", wrong)

    with pytest.raises(SystemExit, match="API_PORT"):
        layout.from_environment()
