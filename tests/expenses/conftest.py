from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from knox.models import AuthToken
from pytest_django.fixtures import Settings
from rest_framework.test import APIClient

from tests.expenses.factories import UserFactory


@pytest.fixture(autouse=True)
def _quick_and_separate(db: None, settings: Settings) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def user() -> User:
    return UserFactory()


@pytest.fixture
def anonymous() -> APIClient:
    """Sees what a caller outside sees: a 500 rather than the exception."""
    return APIClient(raise_request_exception=False)


@pytest.fixture
def api(user: User) -> APIClient:
    """The API as ``user`` calls it, with a real token."""
    _row, token = AuthToken.objects.create(user)
    client = APIClient(raise_request_exception=False)
    client.credentials(HTTP_AUTHORIZATION=f"Token {token}")
    return client


@pytest.fixture
def admin_pages() -> Client:
    client = Client()
    client.force_login(UserFactory(username="boss", is_staff=True, is_superuser=True))
    return client
