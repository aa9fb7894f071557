from __future__ import annotations

import pytest

from telemetry.routes import template_of


@pytest.mark.parametrize(
    ("route", "template"),
    [
        ("", "/"),
        ("api/v1/expenses/", "/api/v1/expenses/"),
        ("api/v1/expenses/<int:pk>/", "/api/v1/expenses/{id}/"),
        ("users/<slug>/posts/<uuid:post>/", "/users/{slug}/posts/{post}/"),
        (r"^api/^expenses/(?P<pk>[^/.]+)/$", "/api/expenses/{id}/"),
        (r"^expenses\.(?P<format>[a-z0-9]+)/?$", "/expenses.{format}/"),
        (r"^old/(?P<slug>[-\w]+)/(\d+)/$", "/old/{slug}/{value}/"),
        (r"^nested/(?P<outer>a(b|c)*)/\Z", "/nested/{outer}/"),
        (r"^odd/(?P<name>[)(]+)/$", "/odd/{name}/"),
        (r"admin/(?P<url>.*)$", "/admin/{url}"),
        (r"^unclosed/(?P<name>abc", "/unclosed/{name}"),
    ],
)
def test_a_route_is_shown_as_a_template(route: str, template: str) -> None:
    assert template_of(route) == template
