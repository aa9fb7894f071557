"""Django's backend of PostgreSQL, with one difference: see ``base``."""
