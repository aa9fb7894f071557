"""OpenAPI: what drf-spectacular cannot see by itself, above all the errors of each operation."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from drf_spectacular.contrib.knox_auth_token import KnoxTokenScheme
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiExample, OpenApiResponse
from rest_framework import serializers

from expenses.api.problems import CONTENT_TYPE

#: Status → code and detail of the example, and whether it names fields.
PROBLEMS: dict[int, tuple[str, str]] = {
    400: ("validation_error", "The request was refused; see errors for each field."),
    401: ("not_authenticated", "Authentication credentials were not provided."),
    403: ("permission_denied", "CSRF Failed: CSRF token missing."),
    404: ("not_found", "Not found."),
    406: ("not_acceptable", "Could not satisfy the request Accept header."),
    409: ("locked", "The expense is approved and cannot be changed any more."),
    413: ("body_too_large", "The body is larger than this service reads."),
    415: ("unsupported_media_type", 'Unsupported media type "text/plain" in request.'),
    429: ("throttled", "Request was throttled. Expected available in 42 seconds."),
    500: ("internal_error", "Something went wrong here. Name the correlation_id when you report."),
    503: ("database_unavailable", "The database is not available now. Try again shortly."),
}
FIELD_ERROR = {"field": "amount", "code": "min_value", "detail": "The amount must be above zero."}


class FieldErrorSerializer(serializers.Serializer[Any]):
    field = serializers.CharField(allow_null=True, help_text="Null: about the body as a whole.")
    code = serializers.CharField(help_text="For programs; does not change.")
    detail = serializers.CharField(help_text="For people.")


class ProblemSerializer(serializers.Serializer[Any]):
    """An error, as RFC 9457 describes it."""

    type = serializers.CharField(help_text="Always about:blank; see code.")
    title = serializers.CharField(help_text="The name of the status.")
    status = serializers.IntegerField()
    detail = serializers.CharField(help_text="For people.")
    code = serializers.CharField(help_text="For programs; does not change.")
    correlation_id = serializers.CharField(help_text="Finds this request in logs and traces.")
    errors = FieldErrorSerializer(many=True, required=False)  # type: ignore[assignment]


class TokenScheme(KnoxTokenScheme):  # type: ignore[no-untyped-call]
    target_class = "expenses.api.authentication.TokenAuthentication"
    name = "token"


class ProblemAutoSchema(AutoSchema):
    """Adds to each operation the errors that it can answer."""

    def _get_response_bodies(self, direction: Any = "response") -> dict[str, Any]:
        bodies: dict[str, Any] = super()._get_response_bodies(direction)
        for status in self._possible_errors():
            bodies[str(status)] = self._get_response_for_code(  # type: ignore[no-untyped-call]
                _described(status), str(status), [CONTENT_TYPE], direction
            )
        return dict(sorted(bodies.items()))

    def _possible_errors(self) -> set[int]:
        has_body = self.method in {"POST", "PUT", "PATCH"} and self.get_request_serializer()
        errors = {406, 500, 503}
        if has_body or "/auth/" not in self.path:
            errors.add(400)
        if has_body:
            errors |= {413, 415}
        if self.path.startswith("/api/v1/auth/login/"):
            return errors | {401, 429}
        if "{id}" in self.path:
            errors.add(404)
        if self.path.endswith("/expenses/{id}/") and self.method != "GET":
            errors.add(409)
        return errors | {401} | ({403} if self.method != "GET" else set())


def _described(status: int) -> OpenApiResponse:
    code, detail = PROBLEMS[status]
    title = HTTPStatus(status).phrase
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        "correlation_id": "5a1f0c4e9b7d4c1e8f2a6b3d9e0c7f14",
    }
    if status == HTTPStatus.BAD_REQUEST:
        body["errors"] = [FIELD_ERROR]
    example = OpenApiExample(title, value=body, response_only=True, status_codes=[str(status)])
    return OpenApiResponse(ProblemSerializer, description=title, examples=[example])
