"""The ``endpoint`` of a request: the template of the route that matched, never the raw path."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import nullcontext

from django.conf import settings as django_settings
from django.http import FileResponse, HttpRequest, HttpResponseBase
from django.urls import LocalePrefixPattern, URLPattern, URLResolver, get_resolver
from django.utils import translation

from telemetry import settings

UNMATCHED = "unmatched"
#: Static files, by whichever middleware or view they are served.
STATIC = "static"
WITHOUT_ROUTE = frozenset({UNMATCHED, STATIC})

#: On a request that a middleware answered with a file, before any route was looked for.
_FILE = "_telemetry_file"

#: Routes come from the URL configuration, so their number is bounded by the code.
_templates: dict[str, str] = {}

_CONVERTER = re.compile(r"<(?:[^:<>]+:)?(\w+)>")
_NAMED_GROUP = re.compile(r"\(\?P<(\w+)>")
_OPTIONAL_SLASH = re.compile(r"/\?(?=\$|\\Z|\Z)")


def endpoint(request: HttpRequest) -> str:
    """``/api/v1/expenses/{id}/`` for a request that was routed, ``static`` for a static file, else
    ``unmatched``.

    Reads the match that Django's handler left on the request; nothing is resolved again.
    """
    match = getattr(request, "resolver_match", None)
    if match is None:
        return _without_route(request)
    route: str = match.route
    template = _templates.get(route)
    if template is None:
        template = _templates[route] = _endpoint_of(route)
    return template


def _endpoint_of(route: str) -> str:
    template = template_of(route)
    prefix = settings.static_prefix()
    return STATIC if prefix and template.startswith(prefix) else template


def _without_route(request: HttpRequest) -> str:
    prefix = settings.static_prefix()
    paths = request.path, request.path_info
    if hasattr(request, _FILE) or (prefix and any(path.startswith(prefix) for path in paths)):
        return STATIC
    return UNMATCHED


def note_file(request: HttpRequest, response: HttpResponseBase) -> None:
    """Remember a file that a middleware served from outside ``STATIC_URL``, as WhiteNoise does with
    those of ``WHITENOISE_ROOT``."""
    if isinstance(response, FileResponse) and getattr(request, "resolver_match", None) is None:
        setattr(request, _FILE, True)


def templates() -> Iterator[str]:
    """The ``endpoint`` of each route of ``ROOT_URLCONF``, once.

    Imports the URLconf and raises what that raises. Routes below ``i18n_patterns`` come once for
    each of ``LANGUAGES``.
    """
    patterns = get_resolver().url_patterns
    translated = any(isinstance(each.pattern, LocalePrefixPattern) for each in patterns)
    languages = [code for code, _name in django_settings.LANGUAGES] if translated else [None]
    known: set[str] = set()
    for language in languages:
        with translation.override(language) if language else nullcontext():
            found = [_endpoint_of(route) for route in _routes(patterns, "")]
        for template in found:
            if template not in known:
                known.add(template)
                yield template


def _routes(patterns: Iterable[URLPattern | URLResolver], prefix: str) -> Iterator[str]:
    """Routes as ``ResolverMatch.route`` has them."""
    for each in patterns:
        own = str(each.pattern)
        route = prefix + (own.removeprefix("^") if prefix else own)
        if isinstance(each, URLResolver):
            yield from _routes(each.url_patterns, route)
        else:
            yield route


def template_of(route: str) -> str:
    """Django's route, of ``path()``, ``re_path()`` or both joined, as a readable template.

    The parameter ``pk`` is shown as ``id``, its name for everybody outside of Django.
    """
    text = _CONVERTER.sub(lambda found: "{" + found.group(1) + "}", _without_groups(route))
    text = _OPTIONAL_SLASH.sub("/", text)
    text = text.replace(r"\Z", "").replace("^", "").replace("$", "")
    text = re.sub(r"\\(.)", r"\1", text)
    text = text.replace("{pk}", "{id}")
    return "/" + text.lstrip("/")


def _without_groups(route: str) -> str:
    """Each group of a regular expression, with all that is nested in it, as ``{name}``."""
    parts: list[str] = []
    position = 0
    while position < len(route):
        named = _NAMED_GROUP.match(route, position)
        opens = route[position] == "(" and (position == 0 or route[position - 1] != "\\")
        if not opens:
            parts.append(route[position])
            position += 1
            continue
        end = _end_of_group(route, position)
        parts.append("{" + (named.group(1) if named else "value") + "}")
        position = end
        while position < len(route) and route[position] in "?*+":
            position += 1
    return "".join(parts)


def _end_of_group(route: str, start: int) -> int:
    depth = 0
    in_class = False
    position = start
    while position < len(route):
        character = route[position]
        if character == "\\":
            position += 2
            continue
        if in_class:
            in_class = character != "]"
        elif character == "[":
            in_class = True
        elif character == "(":
            depth += 1
        elif character == ")":
            depth -= 1
            if depth == 0:
                return position + 1
        position += 1
    return len(route)
