"""``manage.py probe_account``: the user that the monitoring probe logs in as."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction


class Command(BaseCommand):
    help = (
        "Make the user LOGIN_PROBE_USERNAME with LOGIN_PROBE_TOKEN as its password and no "
        "permissions, or bring it to that state. Without a token: switch it off."
    )

    @transaction.atomic
    def handle(self, *_args: object, **_options: object) -> None:
        name, token = settings.LOGIN_PROBE_USERNAME, settings.LOGIN_PROBE_TOKEN
        users = get_user_model().objects
        user = users.select_for_update().filter(username=name).first()
        if not token:
            if user is not None and user.first_name == _MARK:
                user.set_unusable_password()
                user.is_active = False
                user.save()
                self.stdout.write(f"The user {name} is switched off: LOGIN_PROBE_TOKEN is not set.")
            else:
                self.stdout.write("There is no probe's user: LOGIN_PROBE_TOKEN is not set.")
            return
        if user is None:
            user = users.model(username=name, first_name=_MARK)
        elif user.first_name != _MARK:
            raise CommandError(
                f"The user {name} is somebody's: name another one in LOGIN_PROBE_USERNAME."
            )
        user.is_active, user.is_staff, user.is_superuser = True, False, False
        # Hashing takes a while; a start with the same token need not wait for it.
        if not user.pk or not user.check_password(token):
            user.set_password(token)
        user.save()
        user.groups.clear()
        user.user_permissions.clear()
        self.stdout.write(f"The user {name} is there for the probe.")


#: The first name of a user that this command made, so that it never takes a person's account.
_MARK = "monitoring probe"
