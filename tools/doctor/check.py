"""One question to the running system, and its answer in one line."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tools.local.layout import Layout

#: Longest line of an answer; what a part says may be a whole page.
_LONGEST = 400


class Failed(Exception):  # noqa: N818  an answer, not an error of ours
    """What is wrong. ``mend`` says what to do where it is more than the check's own."""

    def __init__(self, words: str, mend: str = "") -> None:
        super().__init__(words)
        self.mend = mend


class Skipped(Exception):  # noqa: N818  an answer, not an error of ours
    """Why the question was not asked."""


@dataclass
class System:
    """Where the parts are, and what is known of them so far."""

    api: str
    prometheus: str
    alertmanager: str
    jaeger: str
    #: The local run's state folder; None for a system that runs elsewhere.
    layout: Layout | None = None
    #: Checks that did not end well, by name.
    bad: set[str] = field(default_factory=set)
    #: IDs of the request that the doctor sent.
    correlation_id: str = ""
    trace_id: str = ""
    sampled: bool = False


@dataclass(frozen=True)
class Check:
    name: str
    #: Returns what is well in a few words; raises Failed or Skipped.
    ask: Callable[[System], str]
    mend: str
    #: Checks without which the question makes no sense.
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answer:
    name: str
    state: str
    words: str

    def __str__(self) -> str:
        # Addresses may hold a login.
        words = re.sub(r"://[^/@\s]+@", "://", " ".join(self.words.split()))
        return f"{self.state:8}{self.name:14}{words}"


def answer(check: Check, system: System, limit: float) -> Answer:
    """Ask, for ``limit`` seconds at most. Raises nothing, whatever the parts send."""
    if missing := [name for name in check.needs if name in system.bad]:
        system.bad.add(check.name)
        return Answer(check.name, "skipped", f"needs {', '.join(missing)}")
    found: list[Answer] = []
    # A part that sends a byte now and then keeps any timeout of a socket from ending.
    thread = threading.Thread(target=lambda: found.append(_asked(check, system)), daemon=True)
    thread.start()
    thread.join(limit)
    given = found[0] if found else _fail(check, f"no answer within {limit:g} s", check.mend)
    if given.state != "ok":
        system.bad.add(check.name)
    return given


def _asked(check: Check, system: System) -> Answer:
    try:
        return Answer(check.name, "ok", check.ask(system))
    except Skipped as why:
        return Answer(check.name, "skipped", str(why))
    except Failed as failed:
        return _fail(check, str(failed), failed.mend or check.mend)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        return _fail(check, f"an answer of another shape than expected ({error!r})", check.mend)
    except Exception as error:
        return _fail(check, f"{type(error).__name__}: {error}", check.mend)


def _fail(check: Check, words: str, mend: str) -> Answer:
    words = " ".join(words.split())
    return Answer(check.name, "FAIL", f"{words[:_LONGEST]}. Mend: {mend}")


def until(condition: Callable[[], Any], seconds: float) -> Any:
    """What the condition says at last: something true, or what it had after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return found
