"""Moments as text, told by the database itself: Django's own for SQLite are Python, row by row."""

from __future__ import annotations

from typing import Any

from django.db.models import Func, TextField


class Day(Func):
    """The day (UTC) of a time, "2026-11-23"."""

    arity = 1
    output_field = TextField()
    characters, form = 10, "YYYY-MM-DD"

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> tuple[str, Any]:
        sql, params = compiler.compile(self.source_expressions[0])
        return f"substr({sql}, 1, {self.characters})", params

    def as_postgresql(self, compiler: Any, connection: Any, **extra: Any) -> tuple[str, Any]:
        sql, params = compiler.compile(self.source_expressions[0])
        return f"to_char({sql} AT TIME ZONE 'UTC', '{self.form}')", params


class Hour(Day):
    """The hour (UTC) of a time, "2026-11-23 18"."""

    characters, form = 13, "YYYY-MM-DD HH24"
