"""Saves from forms that are older than the row they show: nobody overrules unawares what others changed meanwhile.

A form carries what it showed, signed (`shown`). A field that wasn't touched follows what others made of it; one that both
changed refuses the save and says what it is now, and by whom. The page then carries what was told (`told`) too: who saves again
knows.
Of clusters, whose changes are on record one by one, `recommendations.desk.clusters.overtaken` does this.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core import signing
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.http import QueryDict
from django.utils import timezone

from clusters.cluster_drafts import EditConflict, listed

SALT = "what a form showed"
SHOWN, TOLD = "shown", "told"
"""Names of the hidden fields."""

LONGEST = 40
"""Characters of a value that a message tells."""


class RowOvertaken(EditConflict):
    """A save of what somebody else changed since the form was opened. told : for the form, so that it may be saved again."""

    def __init__(self, words: str, told: str) -> None:
        super().__init__("this page", words)
        self.told = told


def shown(row: models.Model, fields: Iterable[str]) -> str:
    """What a form shows of a row, for its hidden field."""
    values = plain({name: getattr(row, name) for name in fields})
    return signing.dumps({"at": timezone.now().timestamp(), "values": values}, salt=SALT, compress=True)


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as JSON has them, so that they compare."""
    told: dict[str, Any] = json.loads(json.dumps(dict(values), cls=DjangoJSONEncoder, sort_keys=True))
    return told


def merged(row: models.Model, typed: Mapping[str, Any], given: QueryDict, *, by: Any) -> dict[str, Any]:
    """What is to be saved: `typed`, but what others made of the fields that weren't touched.

    row : as it is now.  typed : field -> value, as the row would keep it.  given : the request's; a form that says nothing of
    what it showed has its way. Raises RowOvertaken.
    """
    base = _read(given.get(SHOWN, ""))
    if base is None:
        return dict(typed)
    before, told = base["values"], (_read(given.get(TOLD, "")) or {}).get("values", {})
    now, wanted = plain({name: getattr(row, name) for name in typed}), plain(typed)
    saved, both = dict(typed), []
    for name in typed:
        if name not in before or now[name] == before[name]:
            continue
        if wanted[name] == before[name]:
            saved[name] = getattr(row, name)
        elif wanted[name] != now[name] and told.get(name, before[name]) != now[name]:
            both.append(name)
    if both:
        changed = listed([f"{name.replace('_', ' ')} is now {_value(now[name])}" for name in both], 4)
        words = f"was older than what it edits: {changed}{_by_whom(row, base['at'], by)}. Save again to have it your way"
        raise RowOvertaken(words, shown(row, typed))
    return saved


def _read(token: str) -> dict[str, Any] | None:
    if not token:
        return None
    try:
        found: dict[str, Any] = signing.loads(token, salt=SALT)
    except signing.BadSignature:
        return None
    return found


def _value(value: Any) -> str:
    if value in (None, "", [], {}):
        return "empty"
    if isinstance(value, bool):
        return "on" if value else "off"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"“{text[:LONGEST]}{'…' if len(text) > LONGEST else ''}”" if isinstance(value, str) else text[:LONGEST]


def _by_whom(row: models.Model, since: float, by: Any) -> str:
    """ ", by ben at 14:03", as far as the admin's log tells."""
    rows = LogEntry.objects.filter(
        content_type=ContentType.objects.get_for_model(row),
        object_id=str(row.pk),
        action_time__gte=dt.datetime.fromtimestamp(since, dt.UTC),
    )
    last = rows.exclude(user=by).select_related("user").order_by("-action_time").first()
    return f", by {last.user.get_username()} at {timezone.localtime(last.action_time):%H:%M}" if last else ""
