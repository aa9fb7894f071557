"""Django admin for expenses and categories. Writes go through ``services``, as the API's do."""

from django.contrib import admin

from expenses.admin.categories import CategoryAdmin
from expenses.admin.expenses import ExpenseAdmin
from expenses.admin.login import LoginForm
from expenses.admin.tokens import TokenAdmin

__all__ = ["CategoryAdmin", "ExpenseAdmin", "TokenAdmin"]

admin.site.login_form = LoginForm
admin.site.site_header = "Expense Tracker"
admin.site.site_title = "Expense Tracker"
admin.site.index_title = "Expenses and people"
admin.site.site_url = "/api/docs/"
