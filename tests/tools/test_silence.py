"""What ``make silence`` says of wrong input, before anything is sent."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from testing.postgres import free_port
from tools.alerts.silence import InputError, Matcher, parse_duration, parse_matchers
from tools.local.layout import ROOT


def silence(**variables: str) -> subprocess.CompletedProcess[str]:
    """The command with these variables, and an Alertmanager that is away."""
    environment = {
        "PATH": os.environ["PATH"],
        "ALERTMANAGER_URL": f"http://name:secret@127.0.0.1:{free_port()}",
        **variables,
    }
    return subprocess.run(
        [sys.executable, "-m", "tools.alerts.silence"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


GOOD = {"ALERT": "HighErrorRate", "FOR": "1h", "WHY": "rollback"}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"ALERT": ""}, "ALERT is missing"),
        ({"FOR": ""}, "FOR is missing"),
        ({"FOR": "1 hour"}, "FOR must be a duration"),
        ({"FOR": "-1h"}, "FOR must be a duration"),
        ({"FOR": "1h; reboot"}, "FOR must be a duration"),
        ({"FOR": "30s"}, "FOR must be from 1m to 30d"),
        ({"FOR": "999999999999999d"}, "FOR must be"),
        ({"WHY": "  "}, "WHY is missing"),
        ({"WHY": "x" * 501}, "500 characters at most"),
        ({"MATCH": "endpoint"}, "MATCH wants label=value"),
        ({"MATCH": "endpoint='/api"}, "quote without its end"),
        ({"MATCH": "alertname=Other"}, "must not name alertname"),
        ({"END": "1"}, "give one of them"),
        ({"ALERT": "", "END": "1"}, "END wants the ID"),
    ],
)
def test_wrong_input_is_named_in_one_line_with_the_usage(wrong: dict[str, str], said: str) -> None:
    result = silence(**GOOD | wrong)

    assert result.returncode == 2
    first, *usage = result.stderr.splitlines()
    assert first.startswith("make silence: ")
    assert said in first
    assert usage[0].startswith("usage: make silence ALERT=")
    assert result.stdout == ""


def test_an_alertmanager_that_is_away_is_named_without_its_password() -> None:
    result = silence(**GOOD)

    assert result.returncode == 1
    assert "not reachable" in result.stderr
    assert "secret" not in result.stderr
    assert "Traceback" not in result.stderr


def test_matchers_keep_quoted_blanks_and_backslashes() -> None:
    found = parse_matchers(r"""endpoint="/a b/" host=~'a\.b|c' method!=GET code!~5..""")

    assert found == [
        Matcher("endpoint", "=", "/a b/"),
        Matcher("host", "=~", r"a\.b|c"),
        Matcher("method", "!=", "GET"),
        Matcher("code", "!~", "5.."),
    ]
    assert found[1].as_json() == {
        "name": "host",
        "value": r"a\.b|c",
        "isEqual": True,
        "isRegex": True,
    }


@pytest.mark.parametrize("text", ["1m", "90m", "1h30m", "2d", "4w"])
def test_durations_are_those_of_prometheus(text: str) -> None:
    assert parse_duration(text).total_seconds() >= 60


@pytest.mark.parametrize("text", ["1", "1h ", "h", "1.5h", "\u0661h", "5w"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="FOR"):
        parse_duration(text)
