"""Django's system checks pass without a database: they run before the first migration has made a table."""

from __future__ import annotations

from django.core import checks


def test_checks_ask_no_database() -> None:
    """A test without a database mark may not query one; the theme's checks would, for a permission given by its full name."""
    assert checks.run_checks() == []
