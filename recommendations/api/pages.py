"""Pages of a list that stay right while rows come and go: each begins after the last row of the one before."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import json
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from django.core.exceptions import ValidationError as FieldError
from django.db.models import F, Field, Q, QuerySet
from rest_framework import exceptions, pagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param, replace_query_param

SHOWN = 50
MOST = 500
MAX_CURSOR = 2_000


class Key(NamedTuple):
    """One part of an order: by which field, whether downwards, and whether it may be null, which comes last in either order."""

    field: str
    down: bool
    null: bool
    reads: Field[Any, Any]


class Pages(pagination.BasePagination):
    """Cursor pagination by what a row is ordered by, the primary key last: `?cursor=` as `next` and `previous` have it.

    A page costs the same wherever it lies, and none of it is counted. `limit` rows, 50 unless told otherwise, at most 500.
    """

    limit_description = f"Rows of a page, {SHOWN} if left out, at most {MOST}."
    cursor_description = "As `next` or `previous` of another page has it; the first page without."

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        """The rows of the page. Raises ValidationError on a limit, an offset or a cursor that can't be."""
        if "offset" in request.query_params:
            raise exceptions.ValidationError({"offset": ["pages are followed by the `next` of the one before, not counted"]})
        self.base = request.build_absolute_uri()
        self.limit = _limit(request)
        keys = _keys(queryset)
        self.order = ",".join(f"{'-' if key.down else ''}{key.field}" for key in keys)
        back, place = self._read(request, keys)
        rows = queryset.order_by(*(_by(key, back) for key in keys))
        if place is not None:
            rows = rows.filter(_after(keys, place, back))
        found = list(rows[: self.limit + 1])
        more, found = len(found) > self.limit, found[: self.limit]
        if back:
            found.reverse()
        self.keys = keys
        self.next = self._link(found[-1:], "n") if found and (more or back) else None
        self.previous = self._link(found[:1], "p") if found and (more if back else place is not None) else None
        return found

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"next": self.next, "previous": self.previous, "results": data})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        link = {"type": "string", "nullable": True, "format": "uri"}
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {
                "next": {**link, "description": "Address of the page after this one, null for the last."},
                "previous": {**link, "description": "Address of the page before, null for the first."},
                "results": schema,
            },
        }

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        told = {"name": "limit", "required": False, "in": "query", "description": self.limit_description}
        given = {"name": "cursor", "required": False, "in": "query", "description": self.cursor_description}
        return [{**told, "schema": {"type": "integer", "minimum": 1}}, {**given, "schema": {"type": "string"}}]

    def _link(self, row: Sequence[Any], way: str) -> str:
        values = [_plain(key, row[0]) for key in self.keys]
        told = json.dumps([way, self.order, values], separators=(",", ":")).encode()
        address: str = replace_query_param(self.base, "cursor", base64.urlsafe_b64encode(told).decode().rstrip("="))
        return address if self.limit != SHOWN else str(remove_query_param(address, "limit"))

    def _read(self, request: Request, keys: Sequence[Key]) -> tuple[bool, list[Any] | None]:
        """Whether the page lies before, and the values of the row that it begins after; None for the first page."""
        text = request.query_params.get("cursor", "")
        if not text:
            return False, None
        try:
            if len(text) > MAX_CURSOR:
                raise ValueError
            way, order, values = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True))
            if way not in ("n", "p") or order != self.order or len(values) != len(keys):
                raise ValueError
            return way == "p", [_value(key, value) for key, value in zip(keys, values, strict=True)]
        except (ValueError, TypeError, OverflowError, RecursionError, binascii.Error, FieldError):
            reason = "is not one that a page of this list, in this order, was told; begin without one"
            raise exceptions.ValidationError({"cursor": [reason]}) from None


def _value(key: Key, told: Any) -> Any:
    """A value as a cursor tells it. Raises ValueError or the field's error on one that no row has."""
    if told is None:
        return None
    value = key.reads.to_python(told)
    if isinstance(value, str) and ("\0" in value or not value.isascii() and not value.encode()):
        raise ValueError
    if isinstance(value, float) and not math.isfinite(value) or isinstance(value, dt.datetime) and value.tzinfo is None:
        raise ValueError
    return value


def _limit(request: Request) -> int:
    text = request.query_params.get("limit", "")
    if not text:
        return SHOWN
    if not text.isascii() or not text.isdigit() or not int(text[:6]):
        raise exceptions.ValidationError({"limit": [f"{text[:40]!r} is not a whole number above 0"]})
    return MOST if len(text) > 6 else min(int(text), MOST)


def _keys(rows: QuerySet[Any]) -> list[Key]:
    """What the rows are ordered by, up to their primary key, which tells any two apart."""
    own = rows.model._meta
    keys: list[Key] = []
    for name in rows.query.order_by or own.ordering or ():
        path, down = str(name).removeprefix("-"), str(name).startswith("-")
        field = own.pk if path == "pk" else own.get_field(path)
        if field is own.pk:
            return [*keys, Key("pk", down, False, field)]
        keys.append(Key(path, down, bool(field.null), field))
    return [*keys, Key("pk", bool(keys) and keys[-1].down, False, own.pk)]


def _by(key: Key, back: bool) -> Any:
    """How the database orders by a part, turned round to go back; nulls come last, and so first on the way back."""
    column, down = F(key.field), key.down != back
    nulls: dict[str, Any] = {} if not key.null else {"nulls_first": True} if back else {"nulls_last": True}
    return column.desc(**nulls) if down else column.asc(**nulls)


def _after(keys: Sequence[Key], values: Sequence[Any], back: bool) -> Q:
    """Rows that come after one with those values: alike in some first parts, and beyond it in the next."""
    found, alike = Q(pk__in=()), Q()
    for key, value in zip(keys, values, strict=True):
        beyond = _beyond(key, value, back)
        if beyond is not None:
            found |= alike & beyond
        alike &= Q(**{f"{key.field}__isnull": True}) if value is None else Q(**{key.field: value})
    return found


def _beyond(key: Key, value: Any, back: bool) -> Q | None:
    if value is None:
        return Q(**{f"{key.field}__isnull": False}) if back else None
    beyond = Q(**{f"{key.field}__{'lt' if key.down != back else 'gt'}": value})
    return beyond | Q(**{f"{key.field}__isnull": True}) if key.null and not back else beyond


def _plain(key: Key, row: Any) -> Any:
    """A row's value as JSON has it, so that it is read again as it is."""
    value = row.pk if key.field == "pk" else getattr(row, key.field)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
