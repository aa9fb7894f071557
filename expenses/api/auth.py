"""Login and logout. A token is random, stored as a hash, and stops after 30 days or at logout."""

from __future__ import annotations

import knox.views
from django.contrib.auth import authenticate
from django.contrib.auth.signals import user_logged_in
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from knox.models import AuthToken
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from expenses.api.authentication import TokenAuthentication
from expenses.api.serializers import LoginSerializer, TokenSerializer
from expenses.login_throttle import login_attempt
from telemetry import get_logger

log = get_logger(__name__)


class LoginView(APIView):
    """A name and a password for a token."""

    authentication_classes = ()  # an old token in the header must not stand in the way
    permission_classes = (AllowAny,)
    serializer_class = LoginSerializer

    def get_authenticate_header(self, request: Request) -> str:  # noqa: ARG002
        return "Token"

    @extend_schema(responses={200: TokenSerializer})
    def post(self, request: Request) -> Response:
        serializer = LoginSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        given = serializer.validated_data
        with login_attempt(request, given["username"]) as attempt:
            user = authenticate(request, **given)
            if user is None:
                raise AuthenticationFailed("The name or the password is wrong.")
            attempt.succeed()
        tokens = AuthToken.objects
        tokens.filter(user=user, expiry__lt=timezone.now()).delete()
        row, token = tokens.create(user=user)  # type: ignore[no-untyped-call]
        user_logged_in.send(sender=user.__class__, request=request, user=user)
        answer = TokenSerializer({"token": token, "expiry": row.expiry}).data
        return Response(answer, headers={"Cache-Control": "no-store"})


@extend_schema(request=None, responses={204: None})
class LogoutView(knox.views.LogoutView):
    """End the token that this request carries."""

    authentication_classes = (TokenAuthentication,)


@extend_schema(request=None, responses={204: None})
class LogoutAllView(knox.views.LogoutAllView):
    """End all tokens of the caller."""

    authentication_classes = (TokenAuthentication,)
