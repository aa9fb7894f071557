"""How many queries each endpoint may run, the token's own included.

A new query is a visible change of this table. The rows that are there do not matter: a list costs
the same with one row and with fifty.
"""

from __future__ import annotations

EXPENSE = "/api/v1/expenses/{expense}/"
CATEGORY = "/api/v1/categories/{category}/"

#: Method and path → queries. Savepoints count; the test's own transaction does not.
API: dict[tuple[str, str], int] = {
    ("GET", "/api/v1/expenses/"): 2,
    ("GET", "/api/v1/expenses/?status=draft&search=train&category={category}&ordering=-amount"): 2,
    ("POST", "/api/v1/expenses/"): 5,
    ("GET", EXPENSE): 2,
    ("PUT", EXPENSE): 7,
    ("PATCH", EXPENSE): 7,
    ("DELETE", EXPENSE): 6,
    ("GET", "/api/v1/categories/"): 2,
    ("POST", "/api/v1/categories/"): 4,
    ("GET", CATEGORY): 2,
    ("PATCH", CATEGORY): 6,
    ("DELETE", CATEGORY): 8,
}

#: Pages of the admin; session, user and (in forms) the content type included.
ADMIN: dict[str, int] = {
    "/admin/expenses/expense/": 7,
    "/admin/expenses/expense/?q=train": 7,
    "/admin/expenses/expense/add/": 3,
    "/admin/expenses/expense/{expense}/change/": 7,
    "/admin/expenses/category/": 4,
}
