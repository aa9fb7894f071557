"""Environment variables: each declared once, with type, default and meaning.

A declaration is a :class:`Variable`; reading one gives a checked value or stops the start with a
line that names the variable. ``docs/configuration.md`` is checked against the declarations.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Generic, TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")

_LOGIN = re.compile("(//|^).*@", re.DOTALL)

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


class WrongEnvironmentError(SystemExit):
    """A variable holds a value that cannot be used.

    A SystemExit, so that a start by gunicorn, uvicorn or manage.py ends with this one line and
    not with a traceback.
    """

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"environment: {name} {problem}")


@dataclass(frozen=True)
class Variable(Generic[T]):
    """One environment variable.

    ``parse`` turns the text into the value or raises ValueError with what it wanted instead,
    as in "must be a whole number". An empty variable counts as absent, as OpenTelemetry has it.
    Where ``general`` is given, an absent one means what that says.
    """

    name: str
    parse: Callable[[str], T]
    default: T
    meaning: str
    secret: bool = False
    general: Variable[T] | None = None

    def in_force(self) -> Variable[T]:
        """The variable that decides: this one if it is set, or else the general one."""
        if self.general is None or os.environ.get(self.name, "").strip():
            return self
        return self.general

    def read(self) -> T:
        deciding = self.in_force()
        if deciding is not self:
            return deciding.read()
        text = os.environ.get(self.name, "").strip()
        if not text:
            return self.default
        try:
            return self.parse(text)
        except ValueError as error:
            shown = "" if self.secret else f", not {without_login(text)[:80]!r}"
            raise WrongEnvironmentError(self.name, f"{error}{shown}") from None


def without_login(address: str) -> str:
    """An address without the name and password that it may carry, whole or broken."""
    return _LOGIN.sub(r"\1***@", address)


def text(value: str) -> str:
    if any(ord(character) < 32 for character in value):
        raise ValueError("must be one line of text")
    return value


_LEVELS = frozenset({"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"})


def otel_boolean(value: str) -> bool:
    """As the specification of OpenTelemetry has it: whatever does not say true is false."""
    return value.lower() in _TRUE


def boolean(value: str) -> bool:
    if value.lower() in _TRUE:
        return True
    if value.lower() in _FALSE:
        return False
    raise ValueError("must be 1 or 0")


def integer(minimum: int, maximum: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        wanted = f"must be a whole number from {minimum} to {maximum}"
        try:
            number = int(value)
        except ValueError:
            raise ValueError(wanted) from None
        if not minimum <= number <= maximum:
            raise ValueError(wanted)
        return number

    return parse


def levels(value: str) -> dict[str, str]:
    """``logger=LEVEL,…``."""
    found = {}
    for pair in words(value):
        name, _, level = pair.partition("=")
        if not name.strip() or level.strip().upper() not in _LEVELS:
            raise ValueError("must be logger=LEVEL,… with DEBUG, INFO, WARNING, ERROR or CRITICAL")
        found[name.strip()] = level.strip().upper()
    return found


def ratio(value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        raise ValueError("must be a number from 0 to 1") from None
    if not 0 <= number <= 1:
        raise ValueError("must be a number from 0 to 1")
    return number


def choice(*allowed: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value.lower() not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return value.lower()

    return parse


def address(value: str) -> str:
    """An http or https address, as it is."""
    wanted = "must be an http:// or https:// address"
    try:
        parts = urlsplit(value)
        whole = parts.hostname and parts.port != 0
    except ValueError as error:
        # What is wrong with an address may be its password.
        reason = "" if "@" in value else f" ({error})"
        raise ValueError(f"{wanted}{reason}") from None
    if parts.scheme not in {"http", "https"} or not whole or " " in value:
        raise ValueError(wanted)
    return value


def url(value: str) -> str:
    """An http or https address to which a path can be added."""
    if "?" in value:
        raise ValueError("must be an http:// or https:// address without a query")
    return address(value).rstrip("/")


def file(value: str) -> str:
    """A file that can be read."""
    try:
        with Path(text(value)).open("rb"):
            return value
    except OSError as error:
        raise ValueError(f"must name a file that can be read ({error.strerror})") from None


def entry_point(group: str) -> Callable[[str], str]:
    """A name that an installed package offers in ``group``."""

    def parse(value: str) -> str:
        if not entry_points(group=group, name=value):
            raise ValueError("must be a name that an installed package offers")
        return value

    return parse


def words(value: str) -> tuple[str, ...]:
    """A list separated by commas; empty parts are left out."""
    return tuple(part.strip() for part in value.split(",") if part.strip())
