"""The database backend: ``ENGINE`` in Django's ``DATABASES`` names the package."""

from __future__ import annotations

from django.db.backends.postgresql import base


class DatabaseWrapper(base.DatabaseWrapper):
    """A transaction whose connection was lost ends without a new connection.

    Django's makes one, only to switch its autocommit on, which is how it begins anyway: behind the
    deadline of a statement the request waited for the pool as well, 7.5 seconds instead of 4.5.
    """

    def set_autocommit(
        self, autocommit: bool, force_begin_transaction_with_broken_autocommit: bool = False
    ) -> None:
        if autocommit and self.connection is None and self.settings_dict["AUTOCOMMIT"]:
            self.validate_no_atomic_block()
            return
        super().set_autocommit(autocommit, force_begin_transaction_with_broken_autocommit)
