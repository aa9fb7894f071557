"""Each case of ``conformance_cases``: our spans as expected, and beside those of OpenTelemetry's
instrumentations, from which they differ only as ``docs/conformance.md`` says."""

from __future__ import annotations

import re
from typing import Any

import pytest

from testing.servers import ROOT
from tests.telemetry.conformance_cases import (
    OF_REQUESTS,
    OF_STATEMENTS,
    REQUESTS,
    STATEMENTS,
    Expected,
    RequestCase,
    StatementCase,
)
from tests.telemetry.test_conformance import Told, compared, spans

pytestmark = pytest.mark.servers

#: What the database's address says, and the correlation ID, which differs each time.
_ELSEWHERE = {"correlation_id", "db.namespace"}
_OF_THE_DATABASE = {"server.address", "server.port"}


@pytest.fixture(scope="module")
def ours(servers_database: str) -> Told:
    return spans("settings", servers_database, "cases")


@pytest.fixture(scope="module")
def theirs(servers_database: str) -> Told:
    return spans("reference", servers_database, "cases")


def of_kind(found: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [span for span in found if span["kind"] == kind]


def held(
    span: dict[str, Any], expected: Expected, common: dict[str, Any], skipped: set[str]
) -> None:
    attributes = {name: value for name, value in span["attributes"].items() if name not in skipped}
    wanted = {**common, **expected.attributes}
    assert attributes == {name: value for name, value in wanted.items() if value is not None}
    assert (span["name"], span["status"]) == (expected.name, expected.status)
    assert tuple(span["events"]) == expected.events


@pytest.mark.parametrize("case", REQUESTS, ids=lambda case: case.name)
def test_a_request_leaves_the_expected_span(ours: Told, case: RequestCase) -> None:
    found = of_kind(ours[case.name], "SERVER")

    if case.span is None:
        assert ours[case.name] == []
        return
    (span,) = found
    of_the_case = {
        "url.path": case.path.partition("?")[0],
        "http.request.method": case.method,
        "http.route": case.route,
    }
    held(span, case.span, {**OF_REQUESTS, **of_the_case}, _ELSEWHERE)
    parent = "unknown" if case.span.parent == "remote" else case.span.parent
    assert span["parent"] == parent


@pytest.mark.parametrize("case", STATEMENTS, ids=lambda case: case.name)
def test_a_statement_leaves_the_expected_spans(ours: Told, case: StatementCase) -> None:
    found = ours[f"statement: {case.name}"]

    assert {span["kind"] for span in found} == {"CLIENT"}
    assert len(found) == len(case.spans)
    for span, expected in zip(found, case.spans, strict=True):
        held(span, expected, OF_STATEMENTS, _ELSEWHERE | _OF_THE_DATABASE)


def test_no_parameter_and_no_literal_is_on_any_span(ours: Told) -> None:
    assert any("secret" in case.statement for case in STATEMENTS)

    assert "secret" not in str(list(ours.values()))
    assert "abc123" not in str(list(ours.values()))


def test_spans_of_the_sdk_are_the_same(ours: Told, servers_database: str) -> None:
    """``TELEMETRY_SPANS=sdk``: other objects, the same spans."""
    of_the_sdk = spans("sdk", servers_database, "cases")

    for case, found in ours.items():
        assert without_correlation(of_the_sdk[case]) == without_correlation(found), case


def without_correlation(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """In an order that does not depend on how quick a span was."""
    without = [
        {
            **span,
            "attributes": {
                name: value
                for name, value in span["attributes"].items()
                if name != "correlation_id"
            },
        }
        for span in found
    ]
    return sorted(without, key=lambda span: (span["name"], span["kind"]))


def test_there_are_enough_cases_and_each_has_a_name_of_its_own() -> None:
    requests = {case.name for case in REQUESTS}
    statements = {case.name for case in STATEMENTS}

    assert (len(requests), len(statements)) == (len(REQUESTS), len(STATEMENTS))
    assert len(requests) + len(statements) >= 80


def test_differences_from_their_spans_have_their_reasons(ours: Told, theirs: Told) -> None:
    """Those of the first table hold everywhere; the second names single cases."""
    text = (ROOT / "docs/conformance.md").read_text()
    everywhere = set(re.findall(r"^\| ([^|]+) \| [^|]+ \|$", text, re.MULTILINE))
    single = dict(re.findall(r"^\| ([^|]+ \| [^|]+) \| ([^|]+) \|$", text, re.MULTILINE))
    found = set()
    for case in ours:
        kind, span = (
            ("CLIENT", "statement") if case.startswith("statement: ") else ("SERVER", "server")
        )
        own, their = of_kind(ours[case], kind), of_kind(theirs[case], kind)
        name = case
        if case.startswith("asynchronous: "):
            name = "asynchronous: …"
        elif kind == "CLIENT" and own[0]["status"] == "ERROR":
            name = "statement: one that fails"
        if bool(own) != bool(their):
            found.add(f"{name} | {span} span only {'ours' if own else 'theirs'}")
        for one, other in zip(own, their, strict=False):
            found |= {f"{name} | {span} span: {what}" for what in compared(one, other)}

    unlisted = {each for each in found if each.partition(" | ")[2] not in everywhere}
    listed = {each for each in single if " span" in each}
    assert sorted(unlisted) == sorted(listed)
    assert all(len(single[each]) > 20 for each in listed)
