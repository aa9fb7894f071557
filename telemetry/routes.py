"""The ``endpoint`` of a request: the template of the route that matched, never the raw path."""

from __future__ import annotations

import re

from django.http import HttpRequest

UNMATCHED = "unmatched"

#: Routes come from the URL configuration, so their number is bounded by the code.
_templates: dict[str, str] = {}

_CONVERTER = re.compile(r"<(?:[^:<>]+:)?(\w+)>")
_NAMED_GROUP = re.compile(r"\(\?P<(\w+)>")
_OPTIONAL_SLASH = re.compile(r"/\?(?=\$|\\Z|\Z)")


def endpoint(request: HttpRequest) -> str:
    """``/api/v1/expenses/{id}/`` for a request that was routed, else ``unmatched``.

    Reads the match that Django's handler left on the request; nothing is resolved again.
    """
    match = getattr(request, "resolver_match", None)
    if match is None:
        return UNMATCHED
    route: str = match.route
    template = _templates.get(route)
    if template is None:
        template = _templates[route] = template_of(route)
    return template


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
