"""A certificate authority of one's own, and a server certificate for each door."""

from __future__ import annotations

import ipaddress
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_AUTHORITY = "expense-tracker production"
_AUTHORITY_DAYS = 3650
_SERVER_DAYS = 397
#: A server certificate that ends within this time is made anew.
_RENEW_SECONDS = 30 * 24 * 3600
_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
_CONFIGURATION = """\
[req]
distinguished_name = name
prompt = no
[name]
CN = {common_name}
[authority]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = {names}
"""


class CertificateError(RuntimeError):
    """openssl is missing or refused; the message says what to do."""


def authority(key: Path, certificate: Path) -> None:
    """Make the authority. Its key signs server certificates and must not leave this machine."""
    key.touch(mode=0o600)
    with _configuration(_AUTHORITY, ["DNS:unused"]) as configuration:
        openssl(
            *("req", "-x509", *_KEY, "-days", str(_AUTHORITY_DAYS)),
            *("-config", configuration, "-extensions", "authority"),
            *("-keyout", str(key), "-out", str(certificate)),
        )


def server(folder: Path, names: list[str], key: Path, certificate: Path) -> None:
    """Make ``folder/server.key`` and ``server.crt`` for these host names and addresses.

    ``key`` and ``certificate`` are the authority's.
    """
    request = folder / "server.csr"
    alternatives = [f"{'IP' if is_address(name) else 'DNS'}:{name}" for name in names]
    with _configuration(names[0], alternatives) as configuration:
        openssl(
            *("req", "-new", *_KEY, "-config", configuration),
            *("-keyout", str(folder / "server.key"), "-out", str(request)),
        )
        openssl(
            *("x509", "-req", "-in", str(request), "-CA", str(certificate), "-CAkey", str(key)),
            *("-set_serial", f"0x{secrets.token_hex(16)}", "-days", str(_SERVER_DAYS)),
            *("-extfile", configuration, "-extensions", "server"),
            *("-out", str(folder / "server.crt")),
        )
    request.unlink()


def serves(certificate: Path, names: list[str]) -> bool:
    """Whether the certificate is there, is for all these names, and is good for another month."""
    if not certificate.is_file():
        return False
    asked = [(*("-checkip" if is_address(name) else "-checkhost", name),) for name in names]
    answers = [openssl("x509", "-in", str(certificate), "-noout", *question) for question in asked]
    if any("NOT match" in answer for answer in answers):
        return False
    return "will not" in openssl(
        *("x509", "-in", str(certificate), "-noout", "-checkend", str(_RENEW_SECONDS)), check=False
    )


def foreign(certificate: Path) -> bool:
    """Whether somebody put a certificate of another authority there."""
    if not certificate.is_file():
        return False
    return _AUTHORITY not in openssl("x509", "-in", str(certificate), "-noout", "-issuer")


def is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def openssl(*arguments: str, check: bool = True) -> str:
    """What openssl prints. Raises CertificateError."""
    program = shutil.which("openssl")
    if program is None:
        raise CertificateError("openssl is not installed (Debian: apt install openssl)")
    result = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    if check and result.returncode:
        said = result.stderr.strip().splitlines() or ["nothing"]
        raise CertificateError(f"openssl {arguments[0]} failed, it says: {said[-1]}")
    return result.stdout


@contextmanager
def _configuration(common_name: str, names: list[str]) -> Iterator[str]:
    """The path of an openssl configuration for as long as it is needed."""
    with tempfile.NamedTemporaryFile("w", suffix=".cnf") as file:
        file.write(_CONFIGURATION.format(common_name=common_name, names=", ".join(names)))
        file.flush()
        yield file.name
