"""A question over HTTP; whatever goes wrong is a line that people understand."""

from __future__ import annotations

from typing import Any

import requests

from tools.doctor.check import Failed

#: Seconds to wait for an answer.
PATIENCE = 5.0


def get(url: str, parameters: dict[str, str] | None = None, **options: Any) -> requests.Response:
    return request("GET", url, params=parameters, **options)


def request(method: str, url: str, **options: Any) -> requests.Response:
    """The answer, whatever its status. Raises Failed when none comes."""
    try:
        return requests.request(method, url, timeout=PATIENCE, allow_redirects=False, **options)
    except requests.Timeout as error:
        raise Failed(f"{url} took the connection and gave no answer in {PATIENCE:g} s") from error
    except requests.exceptions.SSLError as error:
        raise Failed(f"{url}: the certificate is not trusted (REQUESTS_CA_BUNDLE=…)") from error
    except requests.ConnectionError as error:
        refused = "refused" in str(error).lower()
        words = "nobody listens" if refused else f"cannot be reached ({type(error).__name__})"
        raise Failed(f"{url}: {words}") from error
    except requests.RequestException as error:
        raise Failed(f"{url}: {type(error).__name__}: {error}") from error


def json(url: str, parameters: dict[str, str] | None = None) -> Any:
    """The answer's JSON. Raises Failed for another status than 200 and for what is no JSON."""
    answer = get(url, parameters)
    if answer.status_code == 401:
        raise Failed(f"{url} wants a login", "put it into the address: https://user:password@host")
    if answer.status_code != 200:
        raise Failed(f"{url} answers {answer.status_code}: {answer.text[:200]}")
    try:
        return answer.json()
    except ValueError as error:
        raise Failed(f"{url} answers with what is no JSON: {answer.text[:80]!r}") from error
