"""A thousand routes and more: as many as a large project has."""

from django.urls import path

from tests.telemetry.site.urls import fail, hello

ROUTES = 1200

urlpatterns = [
    path(f"resources/{number}/<str:name>/", hello if number else fail) for number in range(ROUTES)
]
