"""What a SQL text is: its verb, its first table, and how it may be shown."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field
from typing import Any

OPERATIONS = frozenset(
    """ALTER ANALYZE BEGIN CALL CLOSE COMMIT COPY CREATE DECLARE DELETE DROP EXPLAIN FETCH GRANT
    INSERT LISTEN LOCK MERGE NOTIFY REFRESH RELEASE REVOKE ROLLBACK SAVEPOINT SELECT SET SHOW
    TRUNCATE UPDATE VACUUM VALUES""".split()  # noqa: SIM905  thirty quotes would hide the words
)
OTHER = "OTHER"
NO_TABLE = "none"
OTHER_TABLE = "other"

#: Bytes of a statement's text that are shown.
LONGEST_TEXT = 4096
#: Characters that are looked at; the rest of a longer statement changes nothing.
_LOOKED_AT = 4 * LONGEST_TEXT
#: Tables are bounded by the schema, but raw SQL may name temporary ones without end.
_MOST_TABLES = 500

_tables: set[str] = set()

# Each alternative begins with a character of its own, and none can match in two ways, so the
# time is linear in the text's length. A literal that the cut left open ends with the text.
_LITERALS = re.compile(
    r"""(?P<quoted>"(?:[^"]|"")*"?)                       # an identifier, kept
    |(?P<name>[A-Za-z_\x80-\U0010ffff][\w$\x80-\U0010ffff]*(?:'(?:[^'\\]|\\.|'')*'?)?)
    |(?P<string>'(?:[^']|'')*'?)
    |(?P<dollar>\$(?P<tag>[A-Za-z_]*)\$.*?(?:\$(?P=tag)\$|\Z))
    |(?P<line>--[^\n]*)
    |(?P<block>/\*.*?(?:\*/|\Z))
    |(?P<parameter>%s|%\(\w+\)s|\$\d+)
    |(?P<number>\d[\w.]*)
    |(?P<space>\s+)""",
    re.VERBOSE | re.DOTALL,
)
_LIST = re.compile(r"\((?:\s*(?:%s|\?)\s*,)+\s*(?:%s|\?)\s*\)")
_ROWS = re.compile(r"(\((?:%s|\?), …\)|\((?:%s|\?)\))(?:, ?\1)+")
_NAME = r'(?:"[^"]+"|[A-Za-z_][\w$]*)'
_TABLE = re.compile(
    # The FROM of EXTRACT(YEAR FROM "t"."date") and of IS DISTINCT FROM names no table.
    r"\b(?:(?:DISTINCT\s+|(?:EXTRACT|TRIM|SUBSTRING|OVERLAY)\s*\([^()]*?)\bFROM\b"
    r"|(?:(?P<read>FROM|JOIN)|INTO|UPDATE|TABLE|COPY|LOCK|TRUNCATE|VIEW)\s+"
    r"(?:(?:ONLY|TABLE|CONCURRENTLY|IF\s+NOT\s+EXISTS|IF\s+EXISTS)\s+)*"
    rf"(?P<table>{_NAME}(?:\.{_NAME})?)"
    # What is read from may be a function, FROM now(): then it is no table.
    r'(?(read)(?![\w$."]|\s*\()))',
    re.IGNORECASE,
)
# In a normalised text a semicolon outside of a quoted name ends a statement.
_SETTING = re.compile(
    r"""\s*
    (?:(?:BEGIN|START\s+TRANSACTION)\b(?=\s*;|\s+(?:WORK|TRANSACTION|ISOLATION|READ)\b)
    |SET\b(?!\s+STATEMENT\b)|RESET\b  # MariaDB's SET STATEMENT … FOR is part of what it sets
    |SELECT\s+(?:"?pg_catalog"?\s*\.\s*)?"?set_config"?\s*\((?![^;]*\bFROM\b)
    |(?=;))
    (?:[^;"]|"[^"]*")*+;""",
    re.VERBOSE | re.IGNORECASE,
)
_VERB = re.compile(r"[\s(]*([A-Za-z]+)")
#: The statement behind WITH begins at the first verb outside of parentheses. PostgreSQL takes most
#: verbs for a name as well: WITH insert AS (…).
_AFTER_WITH = re.compile(
    r'"[^"]*"?|[()]|\b(?P<verb>SELECT|INSERT|UPDATE|DELETE|MERGE|VALUES)\b(?!\s+AS\b)',
    re.IGNORECASE,
)
_NAMED_BY_DJANGO = re.compile(
    r'\b(SAVEPOINT|RELEASE SAVEPOINT|ROLLBACK TO SAVEPOINT|DECLARE|CLOSE)\s+"?[\w$]+"?',
    re.IGNORECASE,
)


@dataclass(eq=False, slots=True)
class Statement:
    """A statement without its values, and what is kept for each that is remembered."""

    #: One of OPERATIONS, or OTHER.
    operation: str
    #: The first table, or ``none``; ``other`` past the bound on tables.
    table: str
    #: The text with ``?`` for literals, at most 4 kB. Parameters stay ``%s``.
    text: str
    #: ``SELECT expenses_expense``, the name of its span.
    summary: str = ""
    #: The attributes of its spans, by database.
    fixed: dict[tuple[str, str], Any] = field(default_factory=dict)
    #: Its counter and its histogram.
    children: tuple[Any, Any] | None = None

    def __post_init__(self) -> None:
        self.summary = (
            self.operation if self.table == NO_TABLE else f"{self.operation} {self.table}"
        )


def statement(sql: object) -> Statement:
    """``sql`` read. Statements of usual length are remembered, 2,000 of them."""
    text = sql if isinstance(sql, str) else _as_text(sql)
    if len(text) > LONGEST_TEXT:
        return _read(text[:_LOOKED_AT])
    return _remembered(text)


def _as_text(sql: object) -> str:
    """psycopg's ``SQL`` and ``Composed`` objects show themselves, their literals included."""
    if isinstance(sql, bytes):
        return sql[:_LOOKED_AT].decode("utf-8", "replace")
    try:
        as_string = getattr(sql, "as_string", None)
        return str(as_string(None)) if callable(as_string) else str(sql)
    except Exception:  # noqa: BLE001  psycopg2's objects need a connection: no text, but counted
        return ""


def _read(text: str) -> Statement:
    # A lone surrogate, which no driver can send, would be one in a label and in a span's name.
    text = text.encode("utf-8", "replace").decode()
    shown = _behind_settings(_normalised(text))
    return _of_shape(shown) if len(shown) <= LONGEST_TEXT else _made_of(shown)


def _made_of(shown: str) -> Statement:
    operation, start = _operation(shown)
    return Statement(operation, _table(shown[start:]), _cut(shown))


_remembered = functools.lru_cache(maxsize=2000)(_read)
#: One object, so one shape, for all texts that differ in literals, comments and settings alone.
_of_shape = functools.lru_cache(maxsize=2000)(_made_of)


def _behind_settings(shown: str) -> str:
    """A normalised text without the statements in front that only set parameters of the session or
    begin a transaction.

    ``SELECT set_config(…); INSERT …``, as django-pghistory sends it, is an INSERT. A text of
    nothing else stays as it is.
    """
    start = 0
    while (found := _SETTING.match(shown, start)) is not None:
        start = found.end()
    behind = shown[start:].lstrip()
    return behind or shown


def _normalised(text: str) -> str:
    shown = _LITERALS.sub(_replacement, text).strip()
    shown = _NAMED_BY_DJANGO.sub(r"\1 ?", shown)
    shown = _LIST.sub(lambda found: f"({'%s' if '%s' in found.group() else '?'}, …)", shown)
    return _ROWS.sub(r"\1, …", shown)


def _replacement(found: re.Match[str]) -> str:
    kind = found.lastgroup
    if kind == "tag":
        kind = "dollar"
    text = found.group()
    if kind == "name":
        # E'…', B'…' and the like are literals; a name stays.
        return "?" if text.endswith("'") or "'" in text else text
    if kind in {"string", "dollar", "number"}:
        return "?"
    if kind in {"line", "block", "space"}:
        return " "
    return text


def _operation(text: str) -> tuple[str, int]:
    """The verb, and where to look for its table."""
    found = _VERB.match(text)
    verb, start = (found.group(1).upper(), 0) if found else ("", 0)
    if verb == "WITH":
        verb, start = _behind_with(text)
    return (verb if verb in OPERATIONS else OTHER), start


def _behind_with(text: str) -> tuple[str, int]:
    """The same of the statement behind ``WITH name AS (…)``. What it writes to is its table; what a
    SELECT reads may be named in the parentheses alone."""
    depth = 0
    for found in _AFTER_WITH.finditer(text):
        verb = found.group("verb")
        if verb and depth == 0:
            verb = verb.upper()
            return verb, 0 if verb in {"SELECT", "VALUES"} else found.start()
        depth += {"(": 1, ")": -1}.get(found.group(), 0)
    return OTHER, 0


def _table(text: str) -> str:
    for found in _TABLE.finditer(text):
        if found.group("table"):
            break
    else:
        return NO_TABLE
    name = found.group("table").replace('"', "")[:63]
    if name not in _tables:
        if len(_tables) >= _MOST_TABLES:
            return OTHER_TABLE
        _tables.add(name)
    return name


def _cut(text: str) -> str:
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= LONGEST_TEXT:
        return text
    return encoded[: LONGEST_TEXT - 3].decode("utf-8", "ignore") + "…"
