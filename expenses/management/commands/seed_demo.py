"""``manage.py seed_demo``: people, categories and expenses to look at."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from expenses import demo


class Command(BaseCommand):
    help = "Fill the database with demo users and expenses, up to the numbers asked for."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--expenses", type=int, default=2000, help="expenses in all (2000)")
        parser.add_argument("--users", type=int, default=5, help="plain users demo1, demo2 … (5)")

    def handle(self, *_args: object, **options: Any) -> None:
        if not settings.DEMO:
            raise CommandError("seed_demo makes users with known names: it runs with DEMO=1 only.")
        for name in ("DEMO_PASSWORD", "DEMO_ADMIN_PASSWORD"):
            if not getattr(settings, name):
                raise CommandError(f"{name} is not set: seed_demo gives it to the demo users.")
        if options["users"] < 1 or options["expenses"] < 0:
            raise CommandError("--users must be at least 1 and --expenses at least 0.")
        demo.make_admin(settings.DEMO_ADMIN_PASSWORD)
        users = demo.make_users(options["users"], settings.DEMO_PASSWORD)
        made = demo.make_expenses(users, options["expenses"])
        self.stdout.write(
            f"{len(users)} demo users and the admin are there; {made} expenses were added."
        )
