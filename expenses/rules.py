"""What a value of an expense may be, whoever writes it: API, admin or a script.

The database holds the same rules as constraints; these exist to say it in a sentence first.
"""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal

from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.deconstruct import deconstructible

from expenses.currencies import CURRENCIES, fits

#: Amounts stay below a million millions: every currency's real bills fit, sums stay exact.
AMOUNT_LIMIT = Decimal(10**12)
FIRST_DATE = dt.date(1970, 1, 1)
LAST_DATE = dt.date(2100, 12, 31)
TITLE_LENGTH = 200
NOTES_LENGTH = 4000

# Lone surrogates come out of JSON escapes like "\ud800" and cannot be stored as UTF-8.
_NEVER_PRINTED = "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff"


@deconstructible
class PrintableValidator:
    """Refuses control characters, which PostgreSQL (NUL), CSV files and terminals trip over.

    ``multiline`` allows tabs and line ends.
    """

    code = "control_characters"

    def __init__(self, *, multiline: bool = False) -> None:
        self.multiline = multiline

    def __call__(self, value: str) -> None:
        refused = _NEVER_PRINTED if self.multiline else _NEVER_PRINTED + "\t\n\r"
        if re.search(f"[{refused}]", value):
            raise ValidationError("Control characters are not allowed.", code=self.code)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PrintableValidator) and other.multiline == self.multiline

    def __hash__(self) -> int:
        return hash(self.multiline)


def check_amount(amount: Decimal) -> None:
    """Raises ValidationError unless ``amount`` is positive and below ``AMOUNT_LIMIT``."""
    if not amount.is_finite():
        raise ValidationError("A number is required.", code="invalid")
    if amount <= 0:
        raise ValidationError("The amount must be greater than zero.", code="min_value")
    if amount >= AMOUNT_LIMIT:
        raise ValidationError(f"The amount must be below {AMOUNT_LIMIT}.", code="max_value")


def check_decimals(amount: Decimal, currency: str) -> None:
    """Raises ValidationError if ``currency`` has no such small coin."""
    if not fits(amount, currency):
        decimals = CURRENCIES[currency]
        raise ValidationError(
            f"{currency} has {decimals} decimals, no more."
            if decimals
            else f"{currency} has no decimals.",
            code="too_many_decimals",
        )


def check_spent_on(spent_on: dt.date) -> None:
    """Raises ValidationError outside 1970 to 2100, or after tomorrow in the current time zone.

    Tomorrow, because a traveller's evening may be the next day where the expense was made.
    """
    if not FIRST_DATE <= spent_on <= LAST_DATE:
        raise ValidationError(
            f"The date must lie between {FIRST_DATE} and {LAST_DATE}.", code="out_of_bounds"
        )
    if spent_on > timezone.localdate() + dt.timedelta(days=1):
        raise ValidationError("The date lies in the future.", code="in_the_future")
