"""What must never stand in a log line: secrets by their key, row values of database errors.

A secret is known by the name in front of it, in a structure (``telemetry.logs.shapes``) or in a
text: a query string, a header, JSON, the repr of an object. What has no name in front of it is not
known as one, with four exceptions that say themselves what they are: ``Bearer …``, the login of an
address, a JSON web token, and a private key.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from urllib.parse import unquote

from django.core.exceptions import ImproperlyConfigured

from telemetry import settings

MASKED = "***"
LONGEST_TEXT = 8192

#: Asked without separators and in lower case: ``API-Key`` and ``apiKey`` are one name.
_SECRET_KEY = re.compile(
    r"authorization|cookie|token|passw|passphrase|passcode|pwd|secret|credential|csrf|signature"
    r"|(?:api|access|private|signing|encryption)key|(?:session|sess(?:ion)?(?:id|key))$"
)
#: Too short to be looked for anywhere in a name.
_SECRET_WORD = re.compile(r"(?:^|[\W_])(?:auth|pass|sig)$|(?:dsn|jwt|otp|pin)$")
#: Every secret key has one of these, unless percent signs hide it: most texts need no closer look.
_HINT = re.compile(
    r"auth|cookie|token|pass|pwd|secret|credential|csrf|sig|key|sess|dsn|otp|pin|jwt"
).search
#: An encoded letter or an encoded ``=`` or ``:``; everything else is encoded for good reasons.
_HIDDEN = re.compile(r"%(?:25|3[AD]|[46][1-9A-F]|[57][0-9A])", re.IGNORECASE).search

#: A name, and what makes it one: ``=`` or ``:``, also quoted, escaped or percent-encoded.
_NAME = re.compile(
    r"(?P<key>(?:[\w.+\[\]-]|%(?!(?:25)*+(?:3[AD]|26)))++)"
    r"(?P<separator>\\*+[\"']?\s*+(?:=>?|:(?!//)|%(?P<level>(?:25)*+)3[AD])\s*+"
    r"|(?P<comma>\\*+[\"']\s*+,\s*+))?+",
    re.IGNORECASE,
)
#: In front of a name with a comma behind it: ``('Cookie', 'a=b')``, and no list of names.
_PAIR = re.compile(r"\([bru]?\\*[\"']\Z", re.IGNORECASE)
_QUOTED = re.compile(
    r"[bru]{0,2}(?P<quote>\\*[\"']).*?(?:(?<!\\)(?P=quote)|\Z)", re.DOTALL | re.IGNORECASE
)
#: Up to a space, ``&``, ``;``, a closing quote, a bracket, or the next name after a comma.
_PLAIN = re.compile(
    r"(?:(?!,\s*+\\*[\"']?[\w.-]+\\*[\"']?\s*+[=:])(?![\"'](?:[\s,;:)\]}>\\]|\Z))[^\s&;\[({])*+"
)
#: Headers whose value has spaces and semicolons.
_HEADER = re.compile(r"authorization|cookie", re.IGNORECASE)
_BRACKET = re.compile(
    r"(?P<quote>[\"'])(?:\\.|(?!(?P=quote)).)*+(?P=quote)?+|[\[({]|[\])}]", re.DOTALL
)

#: ``Authorization: Bearer abc`` and the like.
_SCHEME = re.compile(r"(?i)\b(bearer|basic|token)\s+[A-Za-z0-9._~+/=-]{8,}")
#: ``postgresql://user:password@host``, where a port is no password.
_URL_PASSWORD = re.compile(
    r"(://[^/\s:@]*+):(?!\d+(?:[/?#\s]|\Z))(?:(?:[^\s/@]*+@)+|[^\s@]{0,200}+@)"
)
#: ``https://token@host``
_URL_LOGIN = re.compile(r"(https?://)(?:[^\s/@:]*+@)", re.IGNORECASE)
#: The same in a query string, percent-encoded once or more often, up to the ``@``.
_ENCODED_LOGIN = re.compile(
    r"((?::|%(?:25)*+3A)(?:/|%(?:25)*+2F){2})(?:(?!%(?:25)*+(?:2F|3F|23|26))[^\s/?#&@]){1,300}?"
    r"(%(?:25)*+40)",
    re.IGNORECASE,
)
_WEB_TOKEN = re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*")
_PRIVATE_KEY = re.compile(r"(PRIVATE KEY-----).*?(-----END|\Z)", re.DOTALL)
#: PostgreSQL's parts after the message show values of rows and the statement's literals; they are
#: named in the language of the server (en, de, fr, es, it, pt).
_DETAIL = re.compile(
    r"(?:(?:\n|\\n|\b)(?:DETAIL|DÉTAIL|DETALLE|DETTAGLI|DETALHE|CONTEXT|KONTEXT|CONTEXTE"
    r"|CONTEXTO|CONTESTO)|(?:\n|\\n)(?:LINE|ZEILE|LIGNE|LÍNEA|RIGA|LINHA) \d+)\s?:.*",
    re.DOTALL,
)
#: What ends a line for some readers of lines, or has no encoding.
_UNSAYABLE = re.compile("[\ud800-\udfff\x85\u2028\u2029]")


def is_secret(key: str) -> bool:
    """Whether what stands under ``key`` is masked."""
    return _known_as_secret(key) or key.lower() in masked_keys()


@functools.lru_cache(maxsize=4096)
def _known_as_secret(key: str) -> bool:
    while "%" in key and (decoded := unquote(key)) != key:
        key = decoded
    key = unicodedata.normalize("NFKC", key)
    if _SECRET_KEY.search(re.sub(r"[\W_]", "", key).lower()):
        return True
    return _SECRET_WORD.search(key.lower().rstrip("]")) is not None


def masked_keys() -> frozenset[str]:
    """The project's own, from ``TELEMETRY["MASKED_KEYS"]``; none before Django is set up."""
    if not settings.are_there():
        return frozenset()
    try:
        return settings.get().masked_keys
    except ImproperlyConfigured:
        # The line is about wrong settings.
        return frozenset()


def mask_text(text: str) -> str:
    """Secrets inside a text, as they stand in query strings, headers and addresses."""
    if len(text) > LONGEST_TEXT:
        text = text[:LONGEST_TEXT] + "…"
    if not text.isascii():
        text = _UNSAYABLE.sub("?", text)
    if "\n" in text or "\\n" in text or ":  " in text:
        text = _DETAIL.sub("", text)
        text = _PRIVATE_KEY.sub(rf"\1{MASKED}\2", text)
    if "=" in text or ":" in text or "%" in text or "(" in text:
        if _HINT(text.lower()) or ("%" in text and _HIDDEN(text)) or masked_keys():
            text = _without_values(text)
        if "://" in text:
            text = _URL_LOGIN.sub(rf"\1{MASKED}@", _URL_PASSWORD.sub(rf"\1:{MASKED}@", text))
        if "%" in text and "40" in text:
            text = _ENCODED_LOGIN.sub(rf"\1{MASKED}\2", text)
    if " " in text:
        text = _SCHEME.sub(rf"\1 {MASKED}", text)
    if "eyJ" in text:
        text = _WEB_TOKEN.sub(MASKED, text)
    return text


def _without_values(text: str) -> str:
    """``text`` without the values of secret names."""
    kept = []
    done = position = 0
    while found := _NAME.search(text, position):
        position = found.end()
        if found["separator"] is None or not is_secret(found["key"]):
            continue
        if found["comma"] and not _PAIR.search(text, max(0, found.start() - 8), found.start()):
            continue
        quoted = _QUOTED.match(text, position)
        end = quoted.end() if quoted else _end_of_plain(text, found)
        quote = quoted["quote"] if quoted else ""
        if end > position:
            kept += [text[done:position], quote, MASKED, quote]
            done = position = end
    return "".join([*kept, text[done:]])


def _end_of_plain(text: str, name: re.Match[str]) -> int:
    """Where a value that is not quoted ends."""
    start = name.end()
    if _HEADER.search(name["key"]) and ":" in name["separator"]:
        # The whole line, or what the quote in front of the name holds.
        opened = text[name.start() - 1 : name.start()]
        ends = [text.find(end, start) for end in ("\n", opened if opened in {'"', "'"} else "\n")]
        return min((end for end in ends if end >= 0), default=len(text))
    end = start
    while True:
        match = _PLAIN.match(text, end)
        end = match.end() if match else end
        if text[end : end + 1] not in {"[", "(", "{"}:
            break
        end = _end_of_bracket(text, end)
    if name["level"] is not None:
        encoded = text.find(f"%{name['level']}26", start, end)
        end = encoded if encoded >= 0 else end
    return end


def _end_of_bracket(text: str, start: int) -> int:
    depth = 0
    for found in _BRACKET.finditer(text, start):
        if found["quote"] is None:
            depth += 1 if found[0] in "[({" else -1
            if depth == 0:
                return found.end()
    return len(text)


def without_detail(message: str) -> str:
    """An exception's message without PostgreSQL's DETAIL and CONTEXT; one longer than any text of a
    line is cut, to where :func:`mask_text` sees that it was."""
    return _DETAIL.sub("", message[: LONGEST_TEXT + 1])
