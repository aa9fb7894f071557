"""A small Django project around telemetry, for tests that need views of their own."""
