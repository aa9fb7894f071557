"""What the admin pages have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
else:  # the class takes no parameter at run time
    ModelAdmin = admin.ModelAdmin


class ServiceAdmin(ModelAdmin):
    """A page whose rows are written by ``create``, ``update`` and ``remove``.

    Lists stay quick over a million rows: the total of all rows is not counted, nor people listed
    in a select.
    """

    list_per_page = 50
    show_full_result_count = False
    autocomplete_fields: ClassVar[tuple[str, ...]] = ("owner",)

    def create(self, values: dict[str, Any]) -> Model:
        raise NotImplementedError

    def update(self, row: Any, values: dict[str, Any]) -> None:
        raise NotImplementedError

    def remove(self, row: Any) -> None:
        raise NotImplementedError

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> list[str]:
        """Rows do not change their owner: its categories and the owner's API belong to it."""
        fixed = ["owner"] if obj is not None else []
        return [*super().get_readonly_fields(request, obj), *fixed]

    def save_model(
        self,
        request: HttpRequest,  # noqa: ARG002
        obj: Model,
        form: ModelForm[Any],
        change: bool,
    ) -> None:
        if change:
            self.update(obj, {name: form.cleaned_data[name] for name in form.changed_data})
            return
        made = self.create(dict(form.cleaned_data))
        obj.__dict__.update(made.__dict__)

    def delete_model(self, request: HttpRequest, obj: Model) -> None:  # noqa: ARG002
        self.remove(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:  # noqa: ARG002
        for row in queryset:
            self.remove(row)
