"""Categories and expenses. Every rule that can be is a constraint of the database.

A category belongs to its owner's expenses only: a foreign key over (category, owner), made in the
first migration because Django has none over two columns.
"""

from __future__ import annotations

from decimal import Decimal

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F, Q
from django.db.models.functions import Length, Lower, Round
from django.db.models.lookups import LessThanOrEqual
from django_prometheus.models import ExportModelOperationsMixin

from expenses.currencies import CODES_BY_DECIMALS, CURRENCIES, MOST_DECIMALS, currency_choices
from expenses.rules import (
    AMOUNT_LIMIT,
    FIRST_DATE,
    LAST_DATE,
    NOTES_LENGTH,
    TITLE_LENGTH,
    PrintableValidator,
    check_amount,
    check_decimals,
    check_spent_on,
)


class MoneyField(models.DecimalField):  # type: ignore[type-arg]
    """An exact amount, stored as ``numeric`` without a scale.

    With a scale PostgreSQL would round what is too fine before any constraint sees it.
    """

    def db_type(self, connection: BaseDatabaseWrapper) -> str:  # noqa: ARG002
        return "numeric"


class Status(models.TextChoices):
    DRAFT = "draft"
    SUBMITTED = "submitted"
    APPROVED = "approved"
    REJECTED = "rejected"
    REIMBURSED = "reimbursed"


class Category(ExportModelOperationsMixin("category"), models.Model):  # type: ignore[misc]
    """One person's word for a kind of expense."""

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="categories"
    )
    name = models.CharField(max_length=80, validators=[PrintableValidator()])
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "categories"
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint(
                "owner",
                Lower("name"),
                name="category_unique_name_per_owner",
                violation_error_message="There is a category of this name already.",
                violation_error_code="unique",
            ),
            models.UniqueConstraint(fields=["id", "owner"], name="category_id_and_owner"),
            models.CheckConstraint(condition=Q(name__regex=r"\S"), name="category_name_not_blank"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.owner})"


class Expense(ExportModelOperationsMixin("expense"), models.Model):  # type: ignore[misc]
    """Money that its owner spent on one day at one place."""

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="expenses",
        db_index=False,  # each of the indexes below begins with it
    )
    title = models.CharField(max_length=TITLE_LENGTH, validators=[PrintableValidator()])
    merchant = models.CharField(
        max_length=TITLE_LENGTH, blank=True, default="", validators=[PrintableValidator()]
    )
    amount = MoneyField(
        max_digits=12 + MOST_DECIMALS, decimal_places=MOST_DECIMALS, validators=[check_amount]
    )
    currency = models.CharField(max_length=3, choices=currency_choices)
    category = models.ForeignKey(
        Category, on_delete=models.SET_NULL, related_name="expenses", null=True, blank=True
    )
    spent_on = models.DateField(validators=[check_spent_on])
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.DRAFT)
    notes = models.TextField(
        max_length=NOTES_LENGTH,
        blank=True,
        default="",
        validators=[PrintableValidator(multiline=True)],
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    version = models.PositiveIntegerField(default=1, editable=False)

    class Meta:
        ordering = ["-spent_on", "-id"]
        permissions = [("approve_expense", "Can approve and reject expenses")]
        indexes = [
            # One for each ordering of the list; read backwards for the other direction.
            models.Index(fields=["owner", "spent_on", "id"], name="expense_by_date"),
            models.Index(fields=["owner", "amount", "id"], name="expense_by_amount"),
            models.Index(fields=["owner", "created_at", "id"], name="expense_by_creation"),
            models.Index(fields=["owner", "title", "id"], name="expense_by_title"),
            # The admin's list, over all owners.
            models.Index(fields=["spent_on", "id"], name="expense_all_by_date"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(amount__gt=0) & Q(amount__lt=AMOUNT_LIMIT),
                name="expense_amount_in_bounds",
            ),
            models.CheckConstraint(
                condition=Q(currency__in=sorted(CURRENCIES)), name="expense_currency_known"
            ),
            *[
                models.CheckConstraint(
                    condition=~Q(currency__in=codes) | Q(amount=Round(F("amount"), decimals)),
                    name=f"expense_{decimals}_decimals_fit",
                )
                for decimals, codes in CODES_BY_DECIMALS.items()
            ],
            models.CheckConstraint(
                condition=Q(spent_on__gte=FIRST_DATE) & Q(spent_on__lte=LAST_DATE),
                name="expense_date_in_bounds",
            ),
            models.CheckConstraint(
                condition=Q(status__in=Status.values), name="expense_status_known"
            ),
            models.CheckConstraint(condition=Q(title__regex=r"\S"), name="expense_title_not_blank"),
            models.CheckConstraint(
                condition=LessThanOrEqual(Length("notes"), NOTES_LENGTH),
                name="expense_notes_bounded",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.title} ({self.amount} {self.currency})"

    def clean(self) -> None:
        """The rules between fields. Fields that failed by themselves are absent here."""
        errors: dict[str, ValidationError] = {}
        if isinstance(self.amount, Decimal) and self.currency in CURRENCIES and _sane(self.amount):
            try:
                check_decimals(self.amount, self.currency)
            except ValidationError as error:
                errors["amount"] = error
        if self.category is not None and self.category.owner_id != self.owner_id:
            errors["category"] = ValidationError(
                "The category belongs to somebody else.", code="does_not_exist"
            )
        if errors:
            raise ValidationError(errors)


class LoginFailures(models.Model):
    """Failed logins under one key of ``expenses.login_throttle``, until ``expires_at``."""

    key = models.CharField(max_length=64, primary_key=True)
    failures = models.PositiveIntegerField()
    #: Attempts that are under way.
    pending = models.PositiveIntegerField()
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name_plural = "login failures"
        # Nobody looks at hashes: no page in the admin, no permissions.
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.failures} until {self.expires_at}"


def _sane(amount: Decimal) -> bool:
    """Not so large that rounding it fails; such amounts are refused on their own."""
    return amount.is_finite() and abs(amount) < AMOUNT_LIMIT
