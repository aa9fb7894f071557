"""``manage.py probe_account``: the user that the monitoring probe logs in as."""

from __future__ import annotations

from io import StringIO

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.management import CommandError, call_command
from django.test import override_settings

pytestmark = pytest.mark.django_db

TOKEN = "t" * 40


def account(token: str = TOKEN) -> str:
    said = StringIO()
    with override_settings(LOGIN_PROBE_TOKEN=token, LOGIN_PROBE_USERNAME="probe"):
        call_command("probe_account", stdout=said)
    return said.getvalue()


def test_it_makes_a_user_without_permissions() -> None:
    account()

    user = User.objects.get(username="probe")
    assert user.check_password(TOKEN)
    assert (user.is_active, user.is_staff, user.is_superuser) == (True, False, False)


def test_again_it_changes_nothing() -> None:
    account()
    before = User.objects.values().get(username="probe")

    account()

    assert User.objects.values().get(username="probe") == before


def test_it_takes_what_somebody_gave_the_account() -> None:
    account()
    user = User.objects.get(username="probe")
    user.is_staff = user.is_superuser = True
    user.save()
    user.groups.add(Group.objects.create(name="approvers"))
    user.user_permissions.add(Permission.objects.all()[0])

    account("u" * 40)

    user = User.objects.get(username="probe")
    assert (user.is_staff, user.is_superuser) == (False, False)
    assert not user.groups.exists()
    assert not user.user_permissions.exists()
    assert user.check_password("u" * 40)


def test_it_never_takes_a_persons_account() -> None:
    User.objects.create_user("probe", password="a person's")

    with pytest.raises(CommandError, match="LOGIN_PROBE_USERNAME"):
        account()
    account("")

    user = User.objects.get(username="probe")
    assert user.check_password("a person's")
    assert user.is_active


def test_without_a_token_the_account_is_switched_off() -> None:
    account()

    said = account("")

    user = User.objects.get(username="probe")
    assert not user.is_active
    assert not user.has_usable_password()
    assert "switched off" in said
