"""Passwords, and their bcrypt hashes for Prometheus, Alertmanager and the proxy."""

from __future__ import annotations

import ctypes
import functools
import secrets
import shutil
import string
import subprocess
from collections.abc import Callable

#: bcrypt's cost: 2 ** 10 rounds. Prometheus checks it for each new connection.
_COST = 10
_ALPHABET = "./" + string.ascii_uppercase + string.ascii_lowercase + string.digits


class PasswordError(RuntimeError):
    """No bcrypt on this machine; the message says what to install."""


def new(size: int = 24) -> str:
    """A random password of ``size`` bytes in letters, digits, - and _."""
    return secrets.token_urlsafe(size)


def hashed(password: str, known: str = "") -> str:
    """The bcrypt hash; ``known``, if it is a hash of this password.

    The C library's crypt(3) makes it (Linux), or the program ``htpasswd`` (macOS has it). Raises
    PasswordError where there is neither.
    """
    crypt = _crypt()
    if crypt is None:
        return _htpasswd(password)
    if known and crypt(password, known) == known:
        return known
    # 128 random bits in 22 characters: of the last one two bits count.
    salt = "".join(secrets.choice(_ALPHABET) for _ in range(21)) + secrets.choice(".Oeu")
    return crypt(password, f"$2b${_COST}${salt}")


@functools.cache
def _crypt() -> Callable[[str, str], str] | None:
    """crypt(3) if it knows bcrypt. Python's own module for it is gone since 3.13."""
    # In glibc's world it is a library of its own, musl has it inside the C library.
    for library in ("libcrypt.so.1", "libcrypt.so.2", None):
        try:
            function = ctypes.CDLL(library).crypt
        except (OSError, AttributeError):
            continue
        function.restype = ctypes.c_char_p

        def crypt(
            password: str, setting: str, function: Callable[..., bytes | None] = function
        ) -> str:
            return (function(password.encode(), setting.encode()) or b"").decode()

        if len(crypt("x", f"$2b$04${'a' * 21}.")) == 60:
            return crypt
    return None


def _htpasswd(password: str) -> str:
    program = shutil.which("htpasswd")
    if program is None:
        raise PasswordError(
            "nothing here makes bcrypt hashes: install htpasswd (Debian: apt install apache2-utils)"
        )
    # From standard input: a command line is seen by everybody on the machine.
    result = subprocess.run(
        [program, "-niBC", str(_COST), "user"],
        input=password,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise PasswordError(f"htpasswd failed: {result.stderr.strip()}")
    return result.stdout.strip().partition(":")[2]
