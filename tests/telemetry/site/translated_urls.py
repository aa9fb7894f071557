from django.conf.urls.i18n import i18n_patterns
from django.urls import include, path, re_path

from tests.telemetry.site.urls import hello

inner = [path("items/<int:pk>/", hello), re_path(r"^odd/(?P<name>[a-z]+)/$", hello)]

urlpatterns = [
    *i18n_patterns(path("page/", hello), path("more/", include(inner))),
    path("plain/<slug:name>/", include((inner, "inner"))),
    path("static/<path:name>", hello),
]
