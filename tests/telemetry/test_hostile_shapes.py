"""Secrets in every odd shape, by the line that is written: no secret, valid, one line, bounded.

A secret here always ends with ``ter2``, so that a part of it that was left is found as well; and
each shape has a neighbour, ``kept-7``, which must not be lost with it.
"""

from __future__ import annotations

import collections
import dataclasses
import io
import json
import logging
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

import attrs
import pytest
from django.http import QueryDict
from django.utils.functional import SimpleLazyObject
from django.utils.translation import gettext_lazy

import telemetry
from telemetry.logs import pipeline

SECRET = "hunter2"
LEFT = "ter2"
KEPT = "kept-7"
LONGEST = 32 * 1024

#: Names under which a secret stands.
KEYS: list[Any] = [
    *("password", "PASSWORD", "Password", "passWord", "pass-word", "pass_word", "pass word"),
    *("new_password1", "old-password", "password[]", "user[password]", "db.password", "passwd"),
    *(
        "PGPASSWORD",
        "sshpass.passphrase",
        "passcode",
        "db_pass",
        "pwd",
        "userPwd",
        "\uff50assword",
    ),
    *("pass\u200bword", "pass\nword", " password ", "password:", "token", "X-Token", "accessToken"),
    *("refresh_token", "id-token", "csrfmiddlewaretoken", "csrftoken", "X-CSRFToken", "jwt"),
    *("Authorization", "HTTP_AUTHORIZATION", "proxy-authorization", "X-Authorization-2", "auth"),
    *("Cookie", "Set-Cookie", "HTTP_COOKIE", "cookies", "sessionid", "PHPSESSID", "JSESSIONID"),
    *(
        "session_key",
        "api_key",
        "API-Key",
        "apikey",
        "X-Api-Key",
        "apiKey",
        "api key",
        "access_key",
    ),
    *("AWS_SECRET_ACCESS_KEY", "privateKey", "signing-key", "encryption.key", "client_secret"),
    *("DJANGO_SECRET_KEY", "credentials", "dsn", "SENTRY_DSN", "otp", "totp", "pin", "card_pin"),
    *("X-Amz-Signature", "sig", "pass%77ord", "pass%2577ord", b"password", b"\xffpassword"),
    *(("password", 1), frozenset({"token"})),
]


@dataclasses.dataclass
class Login:
    password: Any
    name: str = KEPT


@dataclasses.dataclass(slots=True, frozen=True)
class Slotted:
    inner: Any
    token: str = SECRET
    name: str = KEPT


@attrs.define
class Attrs:
    api_key: str = SECRET
    name: str = KEPT


class Credentials(collections.namedtuple("Credentials", "user password")):
    pass


class Model:
    """As pydantic's models show themselves."""

    def __str__(self) -> str:
        return f"name='{KEPT}' password='{SECRET}' inner=Inner(token=Token('{SECRET}'))"

    __repr__ = __str__


class Raises:
    def __str__(self) -> str:
        raise RuntimeError(SECRET)

    __repr__ = __str__


class RaisesInEveryWay(Mapping[str, str]):
    def __getitem__(self, key: str) -> str:
        raise KeyError(SECRET)

    def __iter__(self) -> Iterator[str]:
        raise ValueError(SECRET)

    def __len__(self) -> int:
        raise OSError(SECRET)

    def items(self) -> Any:
        raise RuntimeError(SECRET)


class Lies:
    @property
    def __class__(self) -> Any:  # type: ignore[override]
        raise RuntimeError(SECRET)


class NotAText:
    def __str__(self) -> str:
        return 7  # type: ignore[return-value]  # noqa: PLE0307


def nested(depth: int, inner: Any, wrap: Callable[[Any], Any]) -> Any:
    for _ in range(depth):
        inner = wrap(inner)
    return inner


def cycle() -> dict[str, Any]:
    made: dict[str, Any] = {"password": SECRET}
    made["again"] = [made, {"list": [made] * 3}]
    return made


def wide_cycle() -> list[Any]:
    made: list[Any] = [{"password": SECRET}]
    made.extend([made] * 500)
    return made


#: What a field may hold.
VALUES: dict[str, Any] = {
    "dict": {"password": SECRET},
    "list in dict": {"token": [SECRET, [SECRET]]},
    "dict in dict": {"credentials": {"user": SECRET}},
    "dict in list": [[[{"password": SECRET}]]],
    "tuple": ({"password": SECRET},),
    "ordered": collections.OrderedDict(password=SECRET),
    "defaultdict": collections.defaultdict(list, token=[SECRET]),
    "chain": collections.ChainMap({"password": SECRET}, {"token": SECRET}),
    "proxy": types.MappingProxyType({"password": SECRET}),
    "deque": collections.deque([{"password": SECRET}]),
    "namespace": types.SimpleNamespace(password=SECRET),
    "query dict": QueryDict(f"password={SECRET}&token={SECRET}"),
    "counter": collections.Counter({f"password={SECRET}": 1}),
    "dict view": {"password": SECRET}.items(),
    "dataclass": Login(SECRET),
    "dataclass in dataclass": Slotted(Login(SECRET)),
    "dataclass in its own text": f"{Slotted(Login(SECRET))}",
    "dataclass with a list": Login([SECRET, {"a": SECRET}]),
    "dataclass with a list in its text": f"{Login([SECRET, {'a': SECRET}])}",
    "attrs": Attrs(),
    "named tuple": Credentials("anna", SECRET),
    "named tuple in its text": f"{Credentials('anna', SECRET)}",
    "model": Model(),
    "lazy text": gettext_lazy(f"password={SECRET}"),
    "lazy object": SimpleLazyObject(lambda: Login(SECRET)),
    "headers as pairs": [("Authorization", SECRET), ("Cookie", f"a={SECRET}")],
    "headers of ASGI": [(b"authorization", b"Basic " + SECRET.encode()), (b"cookie", b"hunter2")],
    "pairs in a dict": {"headers": [["X-Api-Key", SECRET]]},
    "form": [{"name": "password", "value": SECRET}],
    "recorded request": {"headers": [{"key": "Authorization", "value": SECRET}]},
    "bytes": f"user=a&password={SECRET}".encode(),
    "bytearray": bytearray(b"token=hunter2"),
    "bytes under a key": {"password": SECRET.encode()},
    "invalid bytes": b"\xff\xfe\x00password=hunter2\xc3(",
    "set": {f"password={SECRET}", "a"},
    "frozenset in a list": [frozenset({f"token={SECRET}"})],
    "cycle": cycle(),
    "wide cycle": wide_cycle(),
    "1,000 deep lists": nested(1000, {"password": SECRET}, lambda inner: [inner]),
    "1,000 deep dicts": nested(1000, {"password": SECRET}, lambda inner: {"a": inner}),
    "1,000 deep dataclasses": nested(1000, SECRET, Login),
    "many items": [{"password": SECRET}] * 100_000,
    "many keys": {f"password{n}": SECRET for n in range(50_000)},
    "wide and deep": nested(6, {"password": SECRET}, lambda inner: [inner] * 150),
    "huge text": f"password={SECRET} " * 50_000,
    "huge secret": {"password": SECRET * 100_000},
    "huge secret in a text": f"password='{SECRET * 100_000}'",
    "huge text without an end": "password=" + "'" * 100_000 + SECRET,
    "huge key": {"password" * 10_000: SECRET},
    "huge number": [10**6000, {"password": SECRET}],
    "numbers": [float("nan"), float("inf"), -(2**63), 2**64, {"otp": 7_000_000}],
    "surrogate": {"\ud800": f"\udfffpassword={SECRET}"},
    "separators of lines": f"\u2028\u2029\x85\x0b\x0c\r\npassword={SECRET}",
    "escape codes": f"\x1b[31mpassword={SECRET}\x1b[0m\x00",
    "raises": Raises(),
    "raises as a key": {Raises(): 1, "password": SECRET},
    "raises in every way": RaisesInEveryWay(),
    "lies": Lies(),
    "no text": [NotAText(), {"password": SECRET}],
    "an exception": ValueError(f"password={SECRET}"),
    "a class": [type("Odd", (), {"password": SECRET}), object()],
    "a generator": ({"password": SECRET} for _ in range(3)),
    "true as a key": {True: 1, None: 2, 3.5: 3, "password": SECRET},
    "odd types under keys": {"token": 2**70, "password": Raises(), "secret": cycle(), "pin": None},
}

#: Texts in which a secret stands, each with its neighbour.
TEXTS = [
    f"/login?password={SECRET}&x={KEPT}",
    f"/login?x={KEPT}&password={SECRET}",
    f"/login?x={KEPT};password={SECRET};y=1",
    f"?token={SECRET}&token={SECRET}&token=&x={KEPT}",
    f"?PassWord={SECRET}&x={KEPT}",
    f"?password[]={SECRET}&password[0]={SECRET}&x={KEPT}",
    f"?user[password]={SECRET}&x={KEPT}",
    f"?user%5Bpassword%5D={SECRET}&x={KEPT}",
    f"?pass%77ord={SECRET}&x={KEPT}",
    f"?%70%61%73%73%77%6f%72%64={SECRET}&x={KEPT}",
    f"?pass%2577ord={SECRET}&x={KEPT}",
    f"?password%={SECRET}&x={KEPT}",
    f"?%=1&%zz=2&password=%zz{SECRET}%&x={KEPT}",
    f"?password=%ff%fe{SECRET}&x={KEPT}",
    f"?password=hun%26ter2&x={KEPT}",
    f"?password=hun%3Bter2&x={KEPT}",
    f"?password=hun+ter2&x={KEPT}",
    f"?password=hun'ter2&x={KEPT}",
    f"?password=hun=ter2&x={KEPT}",
    f"?password=hun,ter2&x={KEPT}",
    f"?password=hun(ter2)&x={KEPT}",
    f"?password=hun[ter2]&x={KEPT}",
    f"?password=hun<ter2>&x={KEPT}",
    f"?password=hun/ter2&x={KEPT}",
    f"?password=hun@ter2&x={KEPT}",
    f"?password=hün€ter2&x={KEPT}",
    f"?password=={SECRET}&x={KEPT}",
    f"?password:{SECRET}&x={KEPT}",
    f"?&&password={SECRET}&&x={KEPT}",
    f"?next=/a?password={SECRET}&x={KEPT}",
    f"?next={quote(f'/a?password={SECRET}&b=1')}&x={KEPT}",
    f"?next={quote(f'/a?password={SECRET}&b=1', safe='')}&x={KEPT}",
    f"?next={quote(quote('/a?password=hun%26ter2&b=1', safe=''), safe='')}&x={KEPT}",
    f"?data={quote(json.dumps({'password': SECRET}))}&x={KEPT}",
    f"#access_token={SECRET}&x={KEPT}",
    f"/{KEPT};jsessionid={SECRET}?x=1",
    f"?X-Amz-Signature={SECRET}&x={KEPT}",
    f"?sig={SECRET}&x={KEPT}",
    f"https://anna:{SECRET}@example.org/{KEPT}",
    f"https://anna:hun@ter2@example.org/{KEPT}",
    f"https://anna:hun/ter2@example.org/{KEPT}",
    f"https://anna:hun:ter2@example.org/{KEPT}",
    f"https://anna:9ter2@example.org:8080/{KEPT}",
    f"https://{SECRET}@example.org/{KEPT}",
    f"https://:{SECRET}@example.org/{KEPT}",
    f"postgresql://anna:{SECRET}@db:5432/{KEPT}",
    f"postgresql+psycopg://anna:{SECRET}@/{KEPT}?host=/tmp",
    f"redis://:{SECRET}@[::1]:6379/{KEPT}",
    f"amqp://a:{SECRET}@h,amqp://b:{SECRET}@i {KEPT}",
    f"'mysql://a:{SECRET}@h/{KEPT}'",
    f"Authorization: Bearer {SECRET}{SECRET} {KEPT}\n{KEPT}",
    f"Authorization: Basic {SECRET}{SECRET}\r\n{KEPT}",
    f"authorization : {SECRET}\n{KEPT}",
    f'Authorization: Digest username="anna", response="{SECRET}"\n{KEPT}',
    f"Authorization: AWS4 Credential=a/b, Signature={SECRET}\n{KEPT}",
    f"Proxy-Authorization: Negotiate {SECRET}\n{KEPT}",
    f"sent Bearer {SECRET}.{SECRET} to {KEPT}",
    f"sent BEARER   {SECRET}{SECRET} to {KEPT}",
    f"Cookie: sessionid={SECRET}; a={SECRET}\n{KEPT}",
    f"Set-Cookie: a={SECRET}; Path=/\n{KEPT}",
    f"sessionid={SECRET}; csrftoken={SECRET}; theme={KEPT}",
    f"curl -H 'Authorization: {SECRET} {SECRET}' {KEPT}",
    f'curl -H "Cookie: a={SECRET}; b={SECRET}" {KEPT}',
    f"curl --data 'password={SECRET}' {KEPT}",
    f"pg_dump --password={SECRET} {KEPT}",
    f"PGPASSWORD={SECRET} pg_dump {KEPT}",
    f"export AWS_SECRET_ACCESS_KEY={SECRET}; {KEPT}",
    f"host=db user=a password={SECRET} dbname={KEPT}",
    f"host=db password = {SECRET} dbname={KEPT}",
    f"host=db password='hun ter2' dbname={KEPT}",
    f"host=db password='hun\\' ter2' dbname={KEPT}",
    f'password="hun ter2" x={KEPT}',
    f'password="hun \\" ter2" x={KEPT}',
    f"Server=db;Uid=a;Pwd={SECRET};Database={KEPT}",
    f"password: {SECRET} {KEPT}",
    f"password:{SECRET}, x: {KEPT}",
    f"password={SECRET}, x={KEPT}",
    f"password={SECRET},x={KEPT}",
    f"(password={SECRET}) {KEPT}",
    f"password => {SECRET} {KEPT}",
    f"password=\n{SECRET} {KEPT}",
    f"password\t=\t{SECRET}\t{KEPT}",
    json.dumps({"password": SECRET, "x": KEPT}),
    json.dumps({"password": SECRET, "x": KEPT}, separators=(",", ":")),
    json.dumps({"password": 'hun"ter2', "x": KEPT}),
    json.dumps({"password": "hun\\", "token": SECRET, "x": KEPT}),
    json.dumps({"tokens": [SECRET, {"a": SECRET}], "x": KEPT}),
    json.dumps({"tokens": ["]", SECRET], "x": KEPT}),
    json.dumps({"credentials": {"a": {"b": SECRET}}, "x": KEPT}),
    json.dumps({"body": json.dumps({"password": SECRET}), "x": KEPT}),
    json.dumps({"body": json.dumps({"password": "hun ter2"}), "x": KEPT}),
    json.dumps(json.dumps({"body": json.dumps({"password": SECRET})})) + KEPT,
    json.dumps({"otp": 1, "password": None, "x": KEPT, "token": SECRET}),
    json.dumps({"password": SECRET, "x": KEPT}, indent=2),
    json.dumps({"x": KEPT, "password": SECRET})[:-3],
    f'{{"pass\\u0077ord": 1, "password": "{SECRET}", "x": "{KEPT}"}}',
    repr({"password": SECRET, "x": KEPT}),
    repr({"password": b"hunter2", "x": KEPT}),
    repr({"password": "hun'ter2", "x": KEPT}),
    repr({b"token": b"hun ter2", "x": KEPT}),
    repr([("Cookie", f"a={SECRET}; b={SECRET}"), ("X", KEPT)]),
    repr([(b"authorization", b"Basic hunter2"), (b"x", KEPT)]),
    repr(types.SimpleNamespace(password=SECRET, x=KEPT)),
    repr(repr({"password": SECRET, "x": KEPT})),
    f"<WSGIRequest: POST '/a?password={SECRET}'> {KEPT}",
    f"{KEPT} eyJhbGciOiJIUzI1NiJ9.eyJodW50ZXIyIjoxfQ.{SECRET}",
    f"{KEPT}\n-----BEGIN RSA PRIVATE KEY-----\n{SECRET}\n{SECRET}\n-----END RSA PRIVATE KEY-----",
    f"{KEPT}\n-----BEGIN PRIVATE KEY-----\n{SECRET}",
    f"{KEPT}: duplicate key\nDETAIL:  Key (email)=({SECRET}) already exists.\nDETAIL: {SECRET}",
    f"{KEPT}: null value\nDETAIL:  Failing row contains (1,\n{SECRET},\n{SECRET}).\nHINT: x",
    f"{KEPT}: syntax error\nLINE 1: SELECT '{SECRET}'\n        ^",
    f"{KEPT}: raised\nCONTEXT:  PL/pgSQL function f({SECRET}) line 3",
    f"{KEPT}: Fehler\nDETAIL:  Schlüssel »(a)=({SECRET})« existiert.\nKONTEXT: {SECRET}",
    f"{KEPT}: erreur\nDÉTAIL : La clé « (a)=({SECRET}) » existe déjà.",
    f"{KEPT}: Fehler\nZEILE 1: SELECT '{SECRET}'",
    f"{KEPT}: {ValueError(f'duplicate{chr(10)}DETAIL:  Key ({SECRET})')!r}",
]


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    try:
        raise error from cause  # noqa: TRY301
    except BaseException as caught:
        return caught


def chain() -> BaseException:
    error: BaseException = ValueError(f"password={SECRET}")
    for number in range(50):
        error = raised(RuntimeError(f"{number} token={SECRET}"), error)
    return error


def noted() -> BaseException:
    error = ValueError("noted")
    error.add_note(f"password={SECRET}")
    return error


class RaisingError(Exception):
    def __str__(self) -> str:
        raise RuntimeError(SECRET)


class PasswordError(Exception):
    def __init__(self) -> None:
        super().__init__({"password": SECRET}, [("Cookie", SECRET)])


def circle() -> BaseException:
    one, other = ValueError(f"password={SECRET}"), KeyError(f"token={SECRET}")
    one.__context__, other.__context__ = other, one
    return one


def with_locals() -> BaseException:
    password = SECRET
    try:
        raise ValueError(len(password))  # noqa: TRY301
    except ValueError as error:
        return error


ERRORS: dict[str, Callable[[], BaseException]] = {
    "message": lambda: ValueError(f"bad DSN postgresql://a:{SECRET}@db/x"),
    "libpq": lambda: OSError(f'connection to "host=db password={SECRET}" failed'),
    "detail": lambda: ValueError(f"duplicate\nDETAIL:  Key (a)=({SECRET})\nexists ({SECRET})"),
    "detail alone": lambda: ValueError(f"DETAIL:  Failing row contains ({SECRET})."),
    "arguments": PasswordError,
    "key error": lambda: KeyError(f"password={SECRET}"),
    "cause": lambda: raised(RuntimeError("outer"), ValueError(f"password={SECRET}")),
    "chain": chain,
    "circle": circle,
    "group": lambda: ExceptionGroup(
        f"token={SECRET}", [ValueError(f"password={SECRET}"), raised(KeyError(f"token={SECRET}"))]
    ),
    "notes": noted,
    "raises": RaisingError,
    "raising cause": lambda: raised(ValueError("outer"), RaisingError()),
    "huge": lambda: ValueError(f"password={SECRET} " * 100_000),
    "surrogate": lambda: ValueError(f"\ud800 token={SECRET}"),
    "locals": with_locals,
    "bytes": lambda: ValueError(b"password=hunter2"),
    "unicode": lambda: raised(UnicodeDecodeError("utf-8", b"password=hunter2", 0, 1, "x")),
    "exit": lambda: SystemExit(f"password={SECRET}"),
}

#: What Python's logging is called with.
RECORDS: dict[str, tuple[Any, ...]] = {
    "argument": ("login %s %s", {"password": SECRET}, KEPT),
    "arguments by name": (f"login %(user)s {KEPT}", {"user": f"password={SECRET}"}),
    "pairs": ("%r %s", [("Authorization", SECRET)], KEPT),
    "too many arguments": (f"{KEPT} %s", 1, {"password": SECRET}),
    "too few arguments": (f"{KEPT} %s %s password={SECRET}", 1),
    "wrong argument": (f"{KEPT} %d", f"password={SECRET}"),
    "raising argument": (f"{KEPT} %s token={SECRET}", Raises()),
    "no text": ({"password": SECRET, "x": KEPT},),
    "bytes": (b"kept-7 password=hunter2",),
    "raising message": (Raises(),),
}


def test_there_are_enough_of_them() -> None:
    different = {repr(key) for key in KEYS} | set(VALUES) | set(TEXTS) | set(ERRORS) | set(RECORDS)

    assert len(different) >= 250


class Written:
    """A handler as in a server, and the one line that it wrote."""

    def __init__(self) -> None:
        self.bytes = io.BytesIO()
        handler = pipeline.LineHandler(io.TextIOWrapper(self.bytes, "utf-8", write_through=True))
        handler.setFormatter(pipeline.formatter())
        self.handler = handler

    def line(self) -> dict[str, Any]:
        text = self.bytes.getvalue().decode()
        assert text.endswith("\n")
        assert len(text.splitlines()) == 1
        assert len(text.encode()) <= LONGEST
        assert LEFT not in text
        parsed: dict[str, Any] = json.loads(text)
        return parsed


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Written:
    made = Written()
    # In place of pytest's handlers, which write every value in full.
    monkeypatch.setattr(logging.getLogger("tests.hostile"), "callHandlers", made.handler.handle)
    return made


log = telemetry.get_logger("tests.hostile")


@pytest.mark.parametrize("key", KEYS, ids=repr)
def test_a_secret_under_its_key(written: Written, key: Any) -> None:
    log.info("hostile", value={key: SECRET, "neighbour": KEPT})

    assert written.line()["value"]["neighbour"] == KEPT


@pytest.mark.parametrize("name", VALUES)
def test_a_secret_in_a_value(written: Written, name: str) -> None:
    log.info("hostile", value=VALUES[name], neighbour=KEPT)

    line = written.line()
    assert (line["message"], line["neighbour"]) == ("hostile", KEPT)


@pytest.mark.parametrize("name", VALUES)
def test_a_secret_in_a_value_of_pythons_own_logging(written: Written, name: str) -> None:
    logging.getLogger("tests.hostile").info("hostile", extra={"v": VALUES[name], "n": KEPT})

    line = written.line()
    assert (line["message"], line["n"]) == ("hostile", KEPT)


@pytest.mark.parametrize("text", TEXTS)
def test_a_secret_in_a_text(written: Written, text: str) -> None:
    logging.getLogger("tests.hostile").warning(text)

    assert KEPT in written.line()["message"]


@pytest.mark.parametrize("name", ERRORS)
def test_a_secret_in_an_exception(written: Written, name: str) -> None:
    log.error("hostile", exc_info=ERRORS[name](), neighbour=KEPT)

    line = written.line()
    assert (line["message"], line["neighbour"]) == ("hostile", KEPT)
    assert line["exception"]["type"]


@pytest.mark.parametrize("name", RECORDS)
def test_a_secret_in_a_call_of_pythons_logging(written: Written, name: str) -> None:
    message, *arguments = RECORDS[name]

    logging.getLogger("tests.hostile").warning(message, *arguments)

    assert name == "raising message" or KEPT in written.line()["message"]


@pytest.mark.parametrize("name", RECORDS)
def test_a_secret_in_a_call_of_structlog(written: Written, name: str) -> None:
    message, *arguments = RECORDS[name]

    log.warning(message, *arguments)

    assert name == "raising message" or KEPT in str(written.line())


def test_fields_that_take_the_place_of_the_first_ones_are_bounded_too(written: Written) -> None:
    huge = {f"k{n}": "\x00" * 8000 for n in range(100)}

    logging.getLogger("tests.hostile").info("m", extra={"trace_id": huge, "span_id": huge})

    assert written.line()["message"] == "m"


@pytest.mark.parametrize(
    "text",
    [
        *("a = b", "total=3", "compass=north", "/items?page=2&ordering=-spent_on", "compass: 3"),
        *("http://localhost:8080/users/anna@example.org", "http://[::1]:8080/a", "GET /a 200"),
        *("20 rows: 3 new, 17 old", "{'name': 'anna', 'amount': Decimal('12.50')}", "50% done"),
        *("/caf%C3%A9?q=a%20b", "TypeError: f() takes (1) argument", "see postgresql://anna@db/x"),
        *("key=value", "Expected: a mapping (dict)", "shipping: 3", "monkey: banana", "ünï: 1"),
    ],
)
def test_what_is_no_secret_stays(written: Written, text: str) -> None:
    logging.getLogger("tests.hostile").info(text)

    assert written.line()["message"] == text


@pytest.mark.parametrize("text", ["my password hunter2", "<password>hunter2</password>"])
def test_what_has_no_name_in_front_of_it_is_not_known_as_a_secret(text: str) -> None:
    """So the docs say; this holds them to it."""
    written = Written()

    record = logging.makeLogRecord({"msg": text, "levelno": 20, "levelname": "INFO"})
    written.handler.emit(record)

    assert SECRET in written.bytes.getvalue().decode()
