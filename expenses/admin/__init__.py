"""Django admin for expenses and categories."""
