"""``make silence``: no notifications of an alert for a while, with a reason and an author.

    make silence ALERT=HighErrorRate FOR=1h WHY="the release is being rolled back"
    make silence ALERT=EndpointFailing FOR=2h WHY="fix is in review" MATCH='method=POST'
    make silence END=9e0b1f4e-…          # end one before its time

``MATCH`` takes further matchers, separated by blanks: ``label=value``, ``!=``, ``=~`` and ``!~``;
quotes hold a value with blanks together. ``WHO`` is the author (default: user@host).
``ALERTMANAGER_URL`` names another Alertmanager than that of ``make up``.
"""

from __future__ import annotations

import getpass
import os
import re
import shlex
import socket
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Any

from monitoring.alerts.generate import ALERTS
from monitoring.render import seconds
from tools.alerts.alertmanager import NotAnsweredError, alertmanager_url, call

#: A silence that is needed for longer is a change of the rule.
LONGEST_DAYS = 30
_LONGEST_REASON = 500
_MATCHER = re.compile(r"([a-zA-Z_][a-zA-Z0-9_]*)(=~|!~|!=|=)(.*)", re.DOTALL)
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class InputError(ValueError):
    """A variable that is missing or wrong; one line that says how to mend it."""


@dataclass(frozen=True)
class Matcher:
    """A condition on one label, as Alertmanager reads it."""

    label: str
    operator: str
    value: str

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.label,
            "value": self.value,
            "isEqual": self.operator in {"=", "=~"},
            "isRegex": "~" in self.operator,
        }

    def __str__(self) -> str:
        value = self.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'{self.label}{self.operator}"{value}"'


def parse_matchers(text: str) -> list[Matcher]:
    """The matchers of ``MATCH``. Raises InputError."""
    lexer = shlex.shlex(text, posix=True)
    lexer.whitespace_split = True
    # A backslash belongs to a regular expression, # to a value.
    lexer.escape = lexer.commenters = ""
    try:
        words = list(lexer)
    except ValueError as error:
        raise InputError(f"MATCH has a quote without its end: {text}") from error
    found = []
    for word in words:
        parts = _MATCHER.fullmatch(word)
        if parts is None:
            raise InputError(f"MATCH wants label=value (or != =~ !~), not {word!r}")
        if parts[1] == "alertname":
            raise InputError("MATCH must not name alertname: that is ALERT")
        found.append(Matcher(parts[1], parts[2], parts[3]))
    return found


def parse_duration(text: str) -> timedelta:
    """``90m``, ``1h30m``, ``2d``. Raises InputError for what is none, or is out of bounds."""
    if not text:
        raise InputError("FOR is missing: how long, as in FOR=1h (units m, h, d, w)")
    try:
        # Other digits than those of ASCII would be numbers as well.
        found = timedelta(seconds=seconds(text if text.isascii() else ""))
    except (ValueError, OverflowError) as error:
        raise InputError(f"FOR must be a duration as in 30m, 1h or 2d, not {text!r}") from error
    if not timedelta(minutes=1) <= found <= timedelta(days=LONGEST_DAYS):
        raise InputError(f"FOR must be from 1m to {LONGEST_DAYS}d, not {text}")
    return found


def check_alert(name: str, url: str) -> None:
    """Raises InputError for an alert that neither the rules nor Alertmanager know."""
    if not name:
        raise InputError("ALERT is missing: which alert, as in ALERT=HighErrorRate (make alerts)")
    known = {alert.name for alerts in ALERTS.values() for alert in alerts}
    if name in known:
        return
    known |= {each["labels"].get("alertname", "") for each in call("GET", f"{url}/api/v2/alerts")}
    if name not in known:
        close = get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"; did you mean {close[0]}?" if close else "; make alerts lists what fires"
        raise InputError(f"ALERT: there is no alert {name!r}{hint}")


def author() -> str:
    """``WHO``, or the user of this machine."""
    if chosen := os.environ.get("WHO", "").strip():
        return chosen
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        # No entry in the list of users, as in a container.
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def reason() -> str:
    """``WHY``. Raises InputError."""
    text = " ".join(os.environ.get("WHY", "").split())
    if not text:
        raise InputError('WHY is missing: the reason for others to read, as in WHY="disk is moved"')
    if len(text) > _LONGEST_REASON:
        raise InputError(f"WHY must have {_LONGEST_REASON} characters at most, not {len(text)}")
    return text


def start() -> None:
    """Make the silence that the variables describe, and print its ID, end and author."""
    url = alertmanager_url()
    name = os.environ.get("ALERT", "").strip()
    lasts = parse_duration(os.environ.get("FOR", "").strip())
    why, who = reason(), author()
    matchers = [
        Matcher("alertname", "=", name),
        *parse_matchers(os.environ.get("MATCH", "")),
    ]
    check_alert(name, url)
    filters = [("filter", str(matcher)) for matcher in matchers]
    firing = call("GET", f"{url}/api/v2/alerts", params=filters)
    begin = datetime.now(UTC)
    body = {
        "matchers": [matcher.as_json() for matcher in matchers],
        "startsAt": begin.isoformat(),
        "endsAt": (begin + lasts).isoformat(),
        "createdBy": who,
        "comment": why,
    }
    silence = call("POST", f"{url}/api/v2/silences", body=body)["silenceID"]
    print(f"silence {silence}")
    print(f"  {' '.join(map(str, matchers))}")
    print(f"  until {begin + lasts:%Y-%m-%d %H:%M} UTC, by {who}: {why}")
    print(f"  {len(firing)} of the alerts that fire now are silenced by it")
    print(f"end it earlier: make silence END={silence}")


def end(silence: str) -> None:
    """End a silence before its time. Raises InputError for what is no silence."""
    if os.environ.get("ALERT", "").strip():
        raise InputError("ALERT begins a silence and END ends one: give one of them")
    if not _ID.fullmatch(silence):
        raise InputError(f"END wants the ID of a silence (make alerts lists them), not {silence!r}")
    url = f"{alertmanager_url()}/api/v2"
    known = {each["id"]: each for each in call("GET", f"{url}/silences")}
    if silence not in known:
        raise InputError(f"END: Alertmanager knows no silence {silence}")
    if known[silence]["status"]["state"] == "expired":
        print(f"silence {silence} ended already at {known[silence]['endsAt']}")
        return
    call("DELETE", f"{url}/silence/{silence}")
    print(f"silence {silence} is over; its alerts are notified again while they fire")


def main() -> int:
    ending = os.environ.get("END", "").strip()
    try:
        if ending:
            end(ending)
        else:
            start()
    except InputError as error:
        print(f"make silence: {error}", file=sys.stderr)
        print(
            "usage: make silence ALERT=HighErrorRate FOR=1h WHY=\"reason\" [MATCH='label=value …']"
            " [WHO=name]\n       make silence END=ID",
            file=sys.stderr,
        )
        return 2
    except NotAnsweredError as error:
        print(f"make silence: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
